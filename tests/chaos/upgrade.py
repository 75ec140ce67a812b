"""An upgrade and the way back, under load: the daemons of the release before this one and of this one, beside each other.

    forth   the new release migrates the database; then the workers are replaced, one by one, then the gateways
    back    the gateways are replaced by old ones, then the workers; the schema stays, and the old release's migrate finds
            nothing to do
    forth, and, while there is time, back and forth again: the new release is left

A process is asked to stop, and must end with status 0; or, as the seed will have it, it is killed. Between the workers and
the gateways both releases work together for some seconds.

The old release makes the database and loads the graph, so that there are rows that its schema held. Of it is assumed: that
its scripts/load writes the tokens file that client.py reads, that it serves the methods of client.py, and that the tables
that verdict.py reads of the accounts at the start are in its schema. Whatever judges at the end is the new release's.
"""
import functools
import random

from disaster import Disaster
from stage import GATEWAYS, WORKERS

SHARE_KILLED = 0.3
# Longer than any run: so what an upgraded worker does not understand stays in the backlog, where the judge finds it.
KEEP_UNKNOWN_S = 604800


def migrate(release, d):
    d.stage.tell("migrate " + release)
    return f"the {release} release's migrate"


def stay(d):
    return f"both releases for {d.some_time(2, 8):.1f} s"


KILLED, STOPPED = "is killed", "is asked to stop"


def end(d, name):
    """Which of the two befell it."""
    how = KILLED if d.rng.random() < SHARE_KILLED else STOPPED
    d.stage.tell(("kill " if how == KILLED else "stop ") + name)
    return how


def begin(d, name, release):
    d.stage.tell(f"release {name} {release}")
    d.stage.tell("start " + name)


def replace_worker(name, release, d):
    how = end(d, name)
    # An older release might refuse to start with a setting that it does not know.
    d.stage.configure(name, ROOKERY_METRICS_LISTEN="127.0.0.1:0",
                      ROOKERY_UNKNOWN_KEEP_S=KEEP_UNKNOWN_S if release == "new" else None)
    begin(d, name, release)
    d.stage.tell("await " + name)
    return f"{name} {how}, and started as the {release} release's"


def replace_gateway(name, release, d):
    dropped, number = d.world.gateways.dropped, GATEWAYS.index(name)
    before = dropped[number]
    how = end(d, name)
    begin(d, name, release)
    # By the time it is ready again its clients have heard what became of their calls.
    if how == STOPPED and dropped[number] > before:
        d.world.journal.problem(f"{name} was asked to stop, and {dropped[number] - before} calls that it had taken were "
                                "not answered")
    return f"{name} {how}, and started as the {release} release's"


def shuffled(way, replace, names, release, order):
    for name in order.sample(names, len(names)):
        yield way, functools.partial(replace, name, release)


class Upgrade(Disaster):
    def __init__(self, world, stage):
        super().__init__(world, stage, [], False)

    def schedule(self):
        """(way, step): a step is called with this, and says what it did."""
        order = random.Random(f"{self.world.seed} upgrade")
        yield from self.forth(order)
        while True:
            yield from self.back(order)
            yield from self.forth(order)
            if self.world.time_is_up():
                return

    def forth(self, order):
        yield "forth", functools.partial(migrate, "new")
        yield from shuffled("forth", replace_worker, WORKERS, "new", order)
        yield "forth", stay
        yield from shuffled("forth", replace_gateway, GATEWAYS, "new", order)

    def back(self, order):
        yield from shuffled("back", replace_gateway, GATEWAYS, "old", order)
        yield "back", stay
        yield from shuffled("back", replace_worker, WORKERS, "old", order)
        yield "back", functools.partial(migrate, "old")

    def strike(self, name):
        way, step = name
        self.deal(way, step)

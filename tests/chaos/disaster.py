"""What befalls when: a schedule that the seed decides, each blow after the one before is made good."""
import random
import threading

import blows


class Disaster(threading.Thread):
    """each_once: each of the names is dealt once, in some order; else they are dealt until the time is up."""

    def __init__(self, world, stage, names, each_once):
        super().__init__(name="disaster", daemon=True)
        self.world, self.stage, self.names, self.quick = world, stage, names, each_once
        self.rng, self.blows = None, 0
        self.log, self.finished = [], threading.Event()

    def run(self):
        try:
            for name in self.schedule():
                self.next_rng()
                # Long enough for lists to be built, trimmed and believed again, sometimes.
                if self.wait(0.2 + self.rng.random() * (1 if self.quick else 4)):
                    break
                self.strike(name)
            self.set_clocks()
        except Exception as error:  # the run must end, and say why
            self.world.journal.problem(f"the disaster stopped: {error!r}")
            self.world.stop.set()
            raise
        finally:
            self.finished.set()

    def next_rng(self):
        """Each blow has its own: how much of it the one before took depends on time."""
        self.blows += 1
        self.rng = random.Random(f"{self.world.seed} blow {self.blows}")

    def schedule(self):
        order = random.Random(f"{self.world.seed} disaster")
        if self.quick:
            yield from order.sample(self.names, len(self.names))
            return
        while not self.world.time_is_up():
            yield order.choice(self.names)

    def strike(self, name):
        self.deal(name, blows.BLOWS[name].deal)

    def deal(self, name, blow):
        began = self.world.seconds()
        what = blow(self)
        self.log.append(f"{began:6.1f} s  {name}: {what} ({self.world.seconds() - began:.1f} s)")
        self.world.say(self.log[-1])

    # ---- for the blows

    def wait(self, seconds):
        """True when the run is over."""
        return self.world.stop.wait(seconds)

    def some_time(self, least, most):
        """Waits for so many seconds, or much fewer in a quick run: how many."""
        seconds = least + (most - least) * self.rng.random()
        if self.quick:
            seconds = min(seconds, 0.5 + seconds / 10)
        self.wait(seconds)
        return seconds

    def set_clocks(self):
        for clock in self.stage.clocks.values():
            clock.step_to(0)

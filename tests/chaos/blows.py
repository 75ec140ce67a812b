#!/usr/bin/python3
"""The blows that scripts/chaos deals, by name. As a program: lists them, or fails where one is not known.

Each is a function of the disaster (disaster.py), from whose rng it takes all that it decides, and returns in words what
it did. When it returns, everything runs again; only clocks may be left stepped for a while.
"""
import contextlib
import sys
import time

from journal import Restore
from stage import DAEMONS, GATEWAYS, WORKERS

BLOWS = {}


class Blow:
    def __init__(self, deal, what):
        self.deal, self.what = deal, what


def blow(name, what):
    """A decorator: what, in the list, the function does."""
    def add(deal):
        BLOWS[name] = Blow(deal, what)
        return deal
    return add


# ---- what is killed together, and what is done while it is down

KILLS = {
    "kill-gateway": ["gateway-?"],
    "kill-worker": ["worker-?"],
    "kill-workers": ["worker-1", "worker-2"],
    "kill-redis": ["redis"],
    "kill-postgres": ["postgres"],
    "kill-gateway+postgres": ["gateway-?", "postgres"],
    "kill-redis+postgres": ["redis", "postgres"],
    "empty-redis": ["redis", "wipe"],
    "empty-redis+gateway": ["gateway-?", "redis", "wipe"],
    # What the workers had not read when the stream was lost comes from the outbox alone.
    "empty-redis+workers": ["worker-1", "worker-2", "redis", "wipe"],
    "older-redis": ["redis", "restore"],
    "older-redis+worker": ["worker-?", "redis", "restore"],
    "older-redis+workers": ["worker-1", "worker-2", "redis", "restore"],
}
DEEDS = {"wipe": "; Redis comes back empty", "restore": "; Redis comes back older"}


def kill(d, parts):
    d.stage.tell("copy")  # what "older" will be
    parts = [part.replace("?", str(d.rng.randint(1, 2))) for part in parts]
    victims, deeds = [part for part in parts if part not in DEEDS], [part for part in parts if part in DEEDS]
    # Time in which things happen that the copy does not have.
    d.wait(0.1 + d.rng.random() * (0.3 if d.quick else 2))
    for victim in victims:
        d.stage.tell("kill " + victim)
        d.wait(d.rng.random() * 0.5)
    for deed in deeds:
        d.stage.tell(deed)
    d.wait(d.rng.random() ** 2 * (0.5 if d.quick else 3))
    for victim in sorted(victims, key=["postgres", "redis"].__contains__, reverse=True):
        d.stage.tell("start " + victim)
    return ", ".join(victims)


for _name, _parts in KILLS.items():
    blow(_name, "kill -9 of " + " and ".join(part.replace("-?", "") for part in _parts if part not in DEEDS) +
         "".join(DEEDS.get(part, "") for part in _parts))(lambda d, parts=_parts: kill(d, parts))


# ---- what hangs, and what is asked to stop

# Long enough for a silent Redis to be given up.
PAUSES_S = {"gateway": 8, "worker": 14, "redis": 6}


def hang(d, victim):
    d.stage.tell("pause " + victim)
    seconds = d.some_time(0, PAUSES_S[victim.split("-")[0]])
    d.stage.tell("go-on " + victim)
    return f"{victim} for {seconds:.1f} s"


def stop(d, victim):
    d.stage.tell("stop " + victim)
    d.stage.tell("start " + victim)
    return victim


@blow("hang-gateway", "a gateway is paused (kill -STOP) for up to 8 s")
def hang_gateway(d):
    return hang(d, d.rng.choice(GATEWAYS))


@blow("hang-worker", "a worker is paused for up to 14 s")
def hang_worker(d):
    return hang(d, d.rng.choice(WORKERS))


@blow("hang-redis", "Redis is paused for up to 6 s")
def hang_redis(d):
    return hang(d, "redis")


@blow("stop-gateway", "a gateway is asked to stop, and started again")
def stop_gateway(d):
    return stop(d, d.rng.choice(GATEWAYS))


@blow("stop-worker", "a worker is asked to stop, and started again")
def stop_worker(d):
    return stop(d, d.rng.choice(WORKERS))


# ---- clocks

def step(d, victim):
    """Steps its clock; it is set right in the end, or stays as it is until its next step."""
    seconds = d.rng.choice([1, -1, 5, -5, 30, -30])
    d.stage.clocks[victim].step_to(seconds)
    d.some_time(1, 8)
    if d.rng.random() < 0.3:
        return f"{victim} {seconds:+} s, and left so"
    d.stage.clocks[victim].step_to(0)
    d.some_time(0, 2)
    return f"{victim} {seconds:+} s, and back"


@blow("clock-gateway", "a gateway's wall clock is stepped by 1, 5 or 30 s, either way, for a while")
def clock_gateway(d):
    return step(d, d.rng.choice(GATEWAYS))


@blow("clock-worker", "a worker's wall clock is")
def clock_worker(d):
    return step(d, d.rng.choice(WORKERS))


@blow("clock-redis", "Redis's wall clock is")
def clock_redis(d):
    return step(d, "redis")


# ---- paths

def some_daemons(d):
    """One to three of the four."""
    return sorted(d.rng.sample(DAEMONS, d.rng.randint(1, 3)))


def stall(d, server, most):
    """Holds what some processes and the server send to each other; then it arrives late, or is lost."""
    victims, direction = some_daemons(d), d.rng.choice(["", "", "requests", "replies"])
    paths = [d.stage.paths[server][victim] for victim in victims]
    for path in paths:
        path.stall(direction)
    seconds = d.some_time(0.5, most)
    lost = d.rng.random() < 0.3
    for path in paths:
        if lost:
            path.drop()
        path.heal()
        d.wait(d.rng.random() * 0.1)
    return (f"{direction or 'requests and replies'} of {', '.join(victims)} for {seconds:.1f} s, then "
            f"{'lost' if lost else 'late'}")


def cut(d, server, most):
    victims = some_daemons(d)
    for victim in victims:
        d.stage.paths[server][victim].cut()
        d.wait(d.rng.random() * 0.1)
    seconds = d.some_time(0.5, most)
    for victim in victims:
        d.stage.paths[server][victim].heal()
        d.wait(d.rng.random() * 0.1)
    return f"{', '.join(victims)} for {seconds:.1f} s"


@blow("stall-redis", "for up to 15 s nothing moves between Redis and some processes; then it arrives, or is lost")
def stall_redis(d):
    return stall(d, "redis", 15)


@blow("stall-postgres", "the same between PostgreSQL and some of the processes")
def stall_postgres(d):
    return stall(d, "postgres", 15)


@blow("cut-redis", "some of the processes cannot reach Redis for up to 20 s")
def cut_redis(d):
    return cut(d, "redis", 20)


@blow("cut-postgres", "some of the processes cannot reach PostgreSQL for up to 20 s")
def cut_postgres(d):
    return cut(d, "postgres", 20)


@blow("stall-and-kill", "a process whose path to Redis or PostgreSQL stalls is killed; what it had sent arrives late")
def stall_and_kill(d):
    server, victim = d.rng.choice(["redis", "redis", "postgres"]), d.rng.choice(DAEMONS)
    path = d.stage.paths[server][victim]
    path.stall(d.rng.choice(["", "requests"]))
    seconds = d.some_time(0.5, 13)
    d.stage.tell("kill " + victim)
    d.wait(d.rng.random())
    late = path.state()["requests_held"]
    path.go_on()
    d.wait(d.rng.random())
    d.stage.tell("start " + victim)
    return f"{victim}'s path to {server} for {seconds:.1f} s; {late} bytes arrive late"


# ---- Redis

def move(d, place):
    """All processes' paths, one after the other."""
    for name in d.rng.sample(DAEMONS, len(DAEMONS)):
        d.stage.paths["redis"][name].switch(place)
        d.wait(d.rng.random() * 0.1)


@blow("failover", "all processes move to another Redis, which is empty or has an older copy, and back after a while")
def failover(d):
    copied = d.rng.random() < 0.5
    d.stage.tell("clone" if copied else "clear")
    d.some_time(0, 2)
    d.stage.tell("start redis-b")
    move(d, d.stage.redis_socket.replace("redis.sock", "redis-b.sock"))
    seconds = d.some_time(1, 10)
    move(d, d.stage.redis_socket)
    d.stage.tell("kill redis-b")
    return f"to {'a copy' if copied else 'an empty one'} for {seconds:.1f} s, and back"


@blow("evict", "Redis has too little memory for some seconds and throws away lists and tokens, though not streams")
def evict(d):
    servers = d.world.servers
    before = servers.redis_info("evicted_keys")
    servers.redis("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    rounds = d.rng.randint(2, 3 if d.quick else 10)
    for _ in range(rounds):
        less = servers.redis_info("used_memory") - d.rng.randint(2, 20) * 100_000
        servers.redis("CONFIG", "SET", "maxmemory", str(max(1, less)))
        d.some_time(0.2, 1.5)
        servers.redis("CONFIG", "SET", "maxmemory", "0")
    servers.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
    return f"{rounds} times, {servers.redis_info('evicted_keys') - before} keys"


# ---- crash loops

ROLES = ["fanout", "chunks", "counts", "relay"]


def crash(d, victims, most):
    """Kills one of them every 100 to 600 ms: how many times."""
    over, deaths = d.world.seconds() + (2 if d.quick else 2 + (most - 2) * d.rng.random()), 0
    while d.world.seconds() < over and not d.wait(0.1 + 0.5 * d.rng.random()):
        victim = d.rng.choice(victims)
        # It may have ended by itself: PostgreSQL has no place for more sessions while those of the dead wait in it.
        d.stage.tell("end " + victim)
        d.stage.tell("start " + victim)
        deaths += 1
    return deaths


def revive(d, worker):
    """Starts it until it stays, as whatever watches over a worker does."""
    for _ in range(60):
        d.stage.tell("end " + worker)
        d.stage.tell("start " + worker)
        d.wait(1)
        if d.stage.is_alive(worker):
            return
    raise RuntimeError(f"{worker} does not stay alive")


def crash_loop(d, most, held):
    """Both workers, or, with both down, one that has a single role."""
    alone = d.rng.choice(ROLES) if d.rng.random() < 0.5 else ""
    for worker in WORKERS:
        # Soon enough for entries to pass from one dead worker to the next.
        d.stage.configure(worker, ROOKERY_RECLAIM_MS=100)
        if alone:
            d.stage.tell("kill " + worker)
    d.stage.configure("worker-3", ROOKERY_RECLAIM_MS=100, ROOKERY_ROLES=alone)
    with held:
        deaths = crash(d, ["worker-3"] if alone else WORKERS, most)
    d.stage.tell("end worker-3")
    for worker in WORKERS:
        d.stage.configure(worker, ROOKERY_RECLAIM_MS=None)
        revive(d, worker)
    return f"{'a worker with the role ' + alone if alone else 'both workers'}, {deaths} deaths"


@blow("crash-loop", "a worker with one role, or both workers, are killed every 100 to 600 ms for some seconds")
def crash_loop_free(d):
    return crash_loop(d, 8, contextlib.nullcontext())


@blow("crash-loop-held", "the same while a lock in PostgreSQL holds them up")
def crash_loop_held(d):
    return crash_loop(d, 12, d.world.servers.lock("account_stats"))


# ---- PostgreSQL

@blow("restore-postgres", "PostgreSQL goes back by some seconds: its files (promoted, too), or a dump")
def restore_postgres(d):
    how = d.rng.choice(["copy", "promoted", "dump"])
    copying = [time.monotonic()]
    d.stage.tell("dump" if how == "dump" else "backup")
    copying.append(time.monotonic())
    seconds = d.some_time(1, 6)
    if how == "dump":
        d.stage.tell("load-dump")
    restore = Restore(copying)
    d.world.journal.restores.append(restore)
    if how == "dump":
        d.stage.tell("swap-database")
    else:
        d.stage.tell("kill postgres")
        d.stage.tell("put-back " + how)
        d.stage.tell("start postgres")
    restore.done()
    d.some_time(1, 4)
    d.world.forget_lost()
    return f"{how}, {seconds:.1f} s old"


# ---- following while being read

@blow("follow-under-reads", "new accounts follow 30 others one after another while two clients read their homes")
def follow_under_reads(d):
    import newcomers  # it needs gRPC, which lists and checks of names do not

    n = 1 if d.quick else d.rng.randint(2, 6)
    gaps = [newcomers.join(d) for _ in range(n)]
    return f"{n} accounts, {sum(gaps)} with gaps"


def main(words):
    if words == ["list"]:
        for name, entry in BLOWS.items():
            print(f"  {name:24}{entry.what}")
        return 0
    unknown = [word for word in words if word not in BLOWS]
    if unknown:
        print(f"chaos: there is no blow {unknown[0]} (see --only list)", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

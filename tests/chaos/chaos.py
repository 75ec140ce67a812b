#!/usr/bin/python3
"""Kills everything in turn while accounts write and read, then checks the promises. scripts/chaos explains."""
import argparse
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time

import grpc

from actors import Actor
from blows import BLOWS
from client import Gateways, read_tokens
from disaster import Disaster
from journal import Journal
from stage import Stage
from upgrade import Upgrade
import verdict

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ACTORS = 12
# The short run deals one of each line; its seed decides which.
SHORT = [
    ["kill-gateway", "kill-worker", "kill-workers", "hang-gateway", "hang-worker", "stop-gateway", "stop-worker"],
    ["kill-redis", "hang-redis", "kill-redis+postgres"],
    ["kill-postgres", "kill-gateway+postgres"],
    ["empty-redis+workers", "empty-redis", "empty-redis+gateway"],
    ["older-redis+workers", "older-redis", "older-redis+worker"],
    ["clock-gateway", "clock-worker", "clock-redis"],
    ["restore-postgres"],
    ["stall-redis", "stall-postgres"],
    ["stall-and-kill"],
    ["cut-redis", "cut-postgres"],
    ["failover"],
    ["evict"],
    ["crash-loop-held", "crash-loop"],
    ["follow-under-reads"],
]
# Longest that the daemons may take to find that PostgreSQL went back, and to forget what they knew.
FORGET_S = 10


class World:
    """What the threads share."""

    def __init__(self, seed, seconds, quiet):
        self.seed, self.limit, self.quiet = seed, seconds, quiet
        self.stop = threading.Event()
        self.journal = Journal()
        self.gateways = self.servers = self.disaster = None
        self.accounts, self.newcomers = [], []
        self.lost, self.lost_since = frozenset(), float("inf")
        self.began = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.began

    def time_is_up(self):
        return self.seconds() > self.limit

    def over(self):
        """No more is to be done than what is owed."""
        return self.time_is_up() if self.disaster is None else self.disaster.finished.is_set()

    def forget_lost(self):
        """What a restored database has no more must not be seen from some seconds after that on."""
        self.lost, self.lost_since = self.journal.forget_lost(), self.journal.restores[-1].away[1] + FORGET_S

    def forgotten(self):
        """Ids of entries that nobody may see any more."""
        return self.lost if time.monotonic() > self.lost_since else frozenset()

    def say(self, text):
        if sys.stdout.isatty():
            sys.stdout.write("\r\033[K")
        print(text, flush=True)

    def progress(self, text):
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\033[Kchaos: {text}")
            sys.stdout.flush()


def short_names(seed):
    """What the short run deals."""
    left_out = set(BLOWS) - {name for line in SHORT for name in line}
    if left_out:
        raise RuntimeError(f"no line of SHORT has {', '.join(sorted(left_out))}")
    rng = random.Random(f"{seed} short")
    return [rng.choice(line) for line in SHORT]


def parse(arguments):
    p = argparse.ArgumentParser(prog="chaos", add_help=False)
    p.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    p.add_argument("--seconds", type=int, default=120)
    p.add_argument("--each-once", action="store_true")
    p.add_argument("--no-kills", action="store_true")
    p.add_argument("--only", action="append", choices=list(BLOWS), default=[])
    p.add_argument("--homes", type=int, default=10**9)
    p.add_argument("--tap", action="store_true")
    # What scripts/chaos finds out.
    p.add_argument("--data", required=True)
    p.add_argument("--ports", type=int, nargs="*", default=[])
    p.add_argument("--psql", required=True)
    p.add_argument("--previous")
    p.add_argument("--graph")
    p.add_argument("--accounts", type=int, default=962)
    return p.parse_args(arguments)


def read_env(path):
    """The variables of run/env, which is a shell's."""
    out = subprocess.run(["bash", "-c", f'set -a; . "$1"; printf "%s\\n" "$DATABASE_URL" "$REDIS_URL" "$GATEWAY"', "-",
                          path], capture_output=True, text=True, check=True)
    return out.stdout.splitlines()


def load_graph(options, world):
    tokens = os.path.join(options.data, "run", f"chaos-{os.getpid()}.tokens")
    graph = [options.graph, "--undirected"] if options.graph else [
        "--synthetic", str(options.accounts), "--average-follows", "39", "--seed", str(options.seed)]
    root, environment = ROOT, dict(os.environ)
    if options.previous:
        root = options.previous
        del environment["BUILD"]
    done = subprocess.run([os.path.join(root, "scripts/load"), "graph", *graph, "--data", options.data, "--tokens",
                           tokens], capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise RuntimeError("the graph was not loaded: " + done.stderr)
    world.say("graph: " + done.stdout.splitlines()[0])
    return read_tokens(tokens, 10**9)


def act(options, world, accounts):
    """Everybody does things until the time is over and nobody owes a post."""
    actors = [Actor(i, accounts[i::ACTORS], world) for i in range(ACTORS)]
    for thread in actors + ([world.disaster] if world.disaster else []):
        thread.start()
    while any(actor.is_alive() for actor in actors):
        time.sleep(0.1)
        world.progress(f"{world.seconds():.0f} s: {world.journal.acknowledged} writes acknowledged, "
                       f"{world.journal.unknown} of unknown outcome")
    if world.disaster:
        world.disaster.join()
    few = [account for actor in actors for account in actor.group if actor.posted[account.id] < 2]
    # A post that was declined, or whose outcome is unknown, does not count.
    for account in few:
        actor = actors[account.number % ACTORS]
        for _ in range(20):
            if actor.posted[account.id] >= 2:
                break
            actor.create(account)
    return [f"{account} has posted only {actors[account.number % ACTORS].posted[account.id]} times"
            for account in few if actors[account.number % ACTORS].posted[account.id] < 2]


def judge(options, world, servers, addresses, accounts, initial_follows):
    """(name, troubles) of each check, as they are made."""
    yield "the backlog becomes empty, without dead letters", verdict.settle(servers)
    truth = verdict.Truth(servers, accounts)
    journal = world.journal
    yield "every acknowledged post is there, as acknowledged", list(verdict.check_posts(truth, journal))
    yield "so is every follow, block, mute, like and repost", list(
        verdict.check_relations(truth, journal, initial_follows))
    yield "no write is half done", list(verdict.check_whole(truth))
    yield "counts are what SQL says", list(verdict.check_counts(truth))
    some = accounts[::max(1, len(accounts) // options.homes)] + world.newcomers
    homes = verdict.Homes(truth)
    yield "first pages of 1, 5 and 20, as people see them, are right at each gateway", list(
        verdict.check_first_pages(homes, world.gateways, some,
                                  lambda i, n: world.progress(f"comparing first pages: {i} of {n}")))
    yield "home timelines, as served, have no gaps, duplicates and leaks", list(
        verdict.check_homes(homes, world.gateways, some,
                            lambda i, n: world.progress(f"comparing home timelines: {i} of {n}")))
    yield "audit agrees, over all accounts", list(verdict.check_audit(servers, addresses))


def report(options, world, results):
    """How many checks failed."""
    bad = number = 0
    for number, (name, troubles) in enumerate(results, 1):
        bad += bool(troubles)
        verdict_word = "not ok" if troubles else "ok"
        world.say(f"{verdict_word} {number} - {name}" if options.tap else f"{verdict_word:6}  {name}")
        for text in troubles[:verdict.AT_MOST]:
            world.say(f"# {text}")
        if len(troubles) > verdict.AT_MOST:
            world.say(f"# and {len(troubles) - verdict.AT_MOST} more")
    if options.tap:
        print(f"1..{number}")
    return bad


def run(options, world):
    """Yields (name, troubles)."""
    stage = None
    if options.ports:
        world.progress("starting PostgreSQL, Redis, gateways and workers")
        stage = Stage(options.data, options.ports, options.previous and os.path.join(options.previous, "build"))
    try:
        database_url, redis_url, gateway = read_env(os.path.join(options.data, "run/env"))
        addresses = [f"127.0.0.1:{port}" for port in options.ports] or [gateway]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOKERY_")}
        environment.update(DATABASE_URL=database_url, REDIS_URL=redis_url)
        servers = world.servers = verdict.Servers(options.psql, database_url, redis_url, os.path.join(
            os.environ["BUILD"], "rookery-worker"), environment)
        accounts = world.accounts = load_graph(options, world)
        world.gateways = Gateways(addresses)
        initial_follows = verdict.Truth(servers, accounts).follows
        for actor_accounts in (accounts[i::ACTORS] for i in range(ACTORS)):
            ids = {account.id for account in actor_accounts}
            for follower, followee in initial_follows:
                if follower in ids and followee in ids:
                    world.journal.relation("follow", follower, followee, True)
        world.began = time.monotonic()
        if options.previous:
            world.disaster = Upgrade(world, stage)
        elif stage and not options.no_kills:
            dealt = options.only or (short_names(options.seed) if options.each_once else list(BLOWS))
            world.disaster = Disaster(world, stage, dealt, options.each_once)
        troubles = act(options, world, accounts)
        journal = world.journal
        world.say(f"# {journal.acknowledged} writes acknowledged, {journal.unknown} of unknown outcome; "
                  f"{world.gateways.count} calls in {world.seconds():.1f} s: {world.gateways.statuses}")
        for sentence in journal.losses():
            world.say("# " + sentence)
        yield "everybody posts at least twice", troubles
        yield "what is seen on the way is right (P3, P5, P6)", journal.problems
        if stage:
            yield "no process died by itself", stage.died() + list(
                verdict.crashes(os.path.join(options.data, "log")))
        yield from judge(options, world, servers, addresses, accounts, initial_follows)
    finally:
        world.stop.set()
        if stage:
            stage.close()


def main():
    options = parse(sys.argv[1:])
    world = World(options.seed, options.seconds, options.tap)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    world.say(f"# seed {options.seed}")
    try:
        bad = report(options, world, run(options, world))
    except (RuntimeError, subprocess.CalledProcessError, grpc.RpcError) as error:
        world.say(f"Bail out! {error}")
        bad = 1
    sys.exit(1 if bad else 0)


main()

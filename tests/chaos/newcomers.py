"""Accounts that are new, and follow others one after another while two clients read their homes without pause."""
import contextlib
import secrets
import threading
import time

import grpc

import verdict
from client import PATIENCE_S, Account, patiently, write

FOLLOWS = 30
PAGE = 20


def register(world):
    def call():
        # Another name each time: the one before may be taken, by the attempt that failed.
        return world.gateways.call(0, None, "Register", handle="new_" + secrets.token_hex(6), password="newcomers' own")

    reply = patiently(call)
    return Account(-1, reply.account.id, reply.account.handle, reply.token)


class Reader(threading.Thread):
    def __init__(self, gateways, number, account):
        super().__init__(name=f"reader {number}", daemon=True)
        self.gateways, self.number, self.account = gateways, number, account
        self.over, self.reads = threading.Event(), 0

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(grpc.RpcError):
                self.gateways.call(self.number, self.account, "GetHomeTimeline", page_size=PAGE)
                self.reads += 1


def hold_up(servers, over):
    """Statements that look at likes, as reads do that build a list, are held up for a tenth of a second now and then."""
    while not over.wait(0.1):
        with servers.lock("likes"):
            over.wait(0.1)


def follow(d, account, others):
    """One after another; with some accounts a read is often still under way when the next follow is acknowledged."""
    over = threading.Event()
    holder = threading.Thread(target=hold_up, args=(d.world.servers, over), daemon=True)
    if d.rng.random() < 0.5:
        holder.start()
    try:
        for other in others:
            outcome = write(d.world.gateways, d.rng, account, "Follow", time.monotonic_ns() + PATIENCE_S * 10**9, False,
                            account_id=other.id)
            d.world.journal.note(outcome)
            d.world.journal.relation("follow", account.id, other.id).note(True, outcome)
    finally:
        over.set()
        if holder.is_alive():
            holder.join()


def missing(d, account, gateway, before):
    """Entries that are not on the first page at that gateway though they were written before it followed anybody."""
    served = [item.id for item in patiently(lambda: d.world.gateways.home(gateway, account, PAGE, PAGE))]
    last = served[-1] if len(served) == PAGE else 0
    expected = verdict.Homes(verdict.Truth(d.world.servers, d.world.accounts)).of(account.id)
    return [entry for entry in expected if entry in before and entry >= last and entry not in served]


def join(d):
    """Returns whether it found a gap."""
    world = d.world
    account, others = register(world), d.rng.sample(world.accounts, FOLLOWS)
    authors = ",".join(str(other.id) for other in others)
    before = {int(row[0]) for row in world.servers.sql(f"SELECT id FROM posts WHERE author_id IN ({authors})")}
    readers = [Reader(world.gateways, number, account) for number in range(world.gateways.n)]
    for reader in readers:
        reader.start()
    try:
        follow(d, account, others)
    finally:
        for reader in readers:
            reader.over.set()
        for reader in readers:
            reader.join()
    world.newcomers.append(account)
    gap = False
    for gateway in range(world.gateways.n):
        absent = missing(d, account, gateway, before)
        if absent:
            gap = True
            world.journal.problem(f"P2: {account} followed {FOLLOWS} while {sum(r.reads for r in readers)} reads went on: "
                                  f"its first page at gateway {gateway + 1} lacks {len(absent)} entries {absent[:3]}")
    return gap

"""What must be true when everything is up again and all events have had their effect.

Each check returns sentences about what is wrong. The truth is read from SQL once, and the rules of the home timeline
are written down here once more, independently of the product's.
"""
import contextlib
import csv
import io
import os
import subprocess
import time
from collections import Counter, defaultdict

from client import patiently

HOME_LENGTH = 800
SETTLE_S = 120
AT_MOST = 10  # of each kind of trouble are printed


class Servers:
    def __init__(self, psql, database_url, redis_url, worker, environment):
        self.psql, self.database_url, self.redis_url = psql, database_url, redis_url
        self.worker, self.environment = worker, environment

    def sql(self, query):
        """Rows of texts; NULL is ''."""
        out = subprocess.run([self.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.database_url, "-c",
                              f"COPY ({query}) TO STDOUT WITH (FORMAT csv)"],
                             capture_output=True, text=True, check=True)
        return list(csv.reader(io.StringIO(out.stdout)))

    def redis(self, *words):
        out = subprocess.run(["redis-cli", "-s", self.redis_url.removeprefix("unix://"), *words],
                             capture_output=True, text=True, errors="replace", check=True)
        return out.stdout.splitlines()

    def redis_info(self, field):
        """A number of INFO's."""
        return next(int(line.split(":")[1]) for line in self.redis("INFO") if line.startswith(field + ":"))

    @contextlib.contextmanager
    def lock(self, table):
        """Keeps everybody from the table."""
        session = subprocess.Popen([self.psql, "-X", "-q", "-A", "-t", "-d", self.database_url], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            session.stdin.write(f"BEGIN;\nLOCK TABLE {table};\nSELECT 1;\n")
            session.stdin.flush()
            session.stdout.readline()
            yield
        finally:
            session.stdin.close()
            session.wait(30)


def pairs(lines):
    return dict(zip(lines[::2], lines[1::2]))


def backlog(servers):
    """What is still to be done, as a sentence; '' when nothing is."""
    (unpublished,), = servers.sql("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    if unpublished != "0":
        return f"{unpublished} events are not published"
    (epochs,), = servers.sql("SELECT count(*) FROM redis_epochs WHERE NOT republished")
    if epochs != "0":
        return "a new Redis was not told the window again"
    streams = [key for pattern in ("events:*", "chunks:*") for key in servers.redis("--scan", "--pattern", pattern)]
    for key in streams:
        last = pairs(servers.redis("XINFO", "STREAM", key)[:14]).get("last-generated-id")
        lines = servers.redis("XINFO", "GROUPS", key)
        starts = [i for i, line in enumerate(lines) if line == "name"]
        for start, end in zip(starts, starts[1:] + [len(lines)]):
            group = pairs(lines[start:end])
            if group["pending"] != "0" or group["last-delivered-id"] != last:
                return f"{group['name']} on {key}: {group['pending']} pending, at {group['last-delivered-id']} of {last}"
    return ""


def settle(servers):
    """Waits until there is no backlog, twice in a row."""
    end, calm, left = time.monotonic() + SETTLE_S, 0, ""
    while calm < 2:
        left = backlog(servers)
        calm = 0 if left else calm + 1
        if time.monotonic() > end:
            return [f"the backlog does not become empty: {left}"]
        time.sleep(0.3)
    return [f"{n} dead letters on {key}" for key in servers.redis("--scan", "--pattern", "dead:*")
            for n in servers.redis("XLEN", key) if n != "0"]


class Truth:
    """The accounts' part of the database."""

    def __init__(self, servers, accounts):
        lowest = min(account.id for account in accounts)
        self.servers, self.lowest = servers, lowest
        self.posts = {}
        for row in servers.sql("SELECT id, author_id, text, coalesce(reply_to_id, 0), coalesce(reply_to_account_id, 0),"
                               " coalesce(repost_of_id, 0), deleted, coalesce(idempotency_key, '') FROM posts"
                               f" WHERE author_id >= {lowest}"):
            self.posts[int(row[0])] = (int(row[1]), row[2], int(row[3]), int(row[4]), int(row[5]), row[6] == "t", row[7])
        self.follows = self.edges("follows", "follower_id", "followee_id")
        self.blocks = self.edges("blocks", "account_id", "target_id")
        self.mutes = self.edges("mutes", "account_id", "target_id")
        self.likes = self.edges("likes", "account_id", "post_id")

    def edges(self, table, one, two):
        return {(int(a), int(b)) for a, b in
                self.servers.sql(f"SELECT {one}, {two} FROM {table} WHERE {one} >= {self.lowest}")}


CRASHES = ("AddressSanitizer", "runtime error:", "Assertion", "PANIC")


def crashes(folder):
    """What the processes' logs say of crashes."""
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as log:
            for line in log:
                if any(word in line for word in CRASHES):
                    yield f"{name}: {line.strip()[:200]}"


# ---- P1: nothing acknowledged is lost, nothing is half done

def check_posts(truth, journal):
    for post in journal.posts.values():
        row, there = truth.posts.get(post.id), post.there.values(journal.restores)
        if (row is not None) not in there:
            yield f"P1: post {post.id} was acknowledged and is not there" if row is None else (
                f"P1: post {post.id} is there, and was lost with the database")
        if row is None:
            continue
        author, text, reply_to, _, _, deleted, key = row
        if (author, reply_to, key) != (post.author, post.reply_to, post.key):
            yield f"P1: post {post.id} is by {author} to {reply_to}, not by {post.author} to {post.reply_to}"
        if text not in post.text.values(journal.restores):
            yield f"P1: post {post.id} says {text!r}, acknowledged was {post.text.values(journal.restores)}"
        if deleted not in post.deleted.values(journal.restores):
            yield f"P1: post {post.id} is {'' if deleted else 'not '}deleted, against what was acknowledged"
    by_key = defaultdict(list)
    for post_id, row in truth.posts.items():
        by_key[(row[0], row[6])].append((post_id, row))
    for post in journal.lost:
        found = by_key.get((post.author, post.key), [])
        if len(found) > 1 or any(row[1] != post.written for _, row in found):
            yield f"P1: a post of unknown outcome, {post.written!r}, is there as {found}"
    known = {(post.author, post.key) for post in list(journal.posts.values()) + journal.lost}
    for (author, key), found in by_key.items():
        if key and ((author, key) not in known or len(found) != 1):
            yield f"P1: {len(found)} posts of {author} with the key {key!r}, which nobody wrote so"


def check_relations(truth, journal, initial_follows):
    reposts = {(row[0], row[4]) for row in truth.posts.values() if row[4] and not row[5]}
    there = {"follow": truth.follows, "block": truth.blocks, "mute": truth.mutes, "like": truth.likes,
             "repost": reposts}
    for (kind, actor, target), variable in journal.relations.items():
        values = variable.values(journal.restores)
        if ((actor, target) in there[kind]) not in values:
            yield (f"P1: {kind} of {target} by {actor} is {'' if values == {False} else 'not '}there, "
                   f"against what was acknowledged")
    for kind, found in there.items():
        for actor, target in found:
            if (kind, actor, target) not in journal.relations and (
                    kind != "follow" or (actor, target) not in initial_follows):
                yield f"P1: there is a {kind} of {target} by {actor} that nobody wrote"
    for actor, target in initial_follows:
        if ("follow", actor, target) not in journal.relations and (actor, target) not in truth.follows:
            yield f"P1: the follow of {target} by {actor} is gone, and nobody ended it"


def check_whole(truth):
    """A change and its event are one transaction, and nothing points at what is not there."""
    lowest = truth.lowest
    for what, query in {
        "posts without their event": "SELECT p.id FROM posts p WHERE p.author_id >= {0}"
                                     " AND NOT EXISTS (SELECT FROM outbox o WHERE o.id = p.id)",
        "likes of posts that are not there": "SELECT l.post_id FROM likes l WHERE l.account_id >= {0}"
                                             " AND NOT EXISTS (SELECT FROM posts p WHERE p.id = l.post_id)",
        "edited posts without their history": "SELECT p.id FROM posts p WHERE p.author_id >= {0} AND p.edit_count <>"
                                              " (SELECT count(*) FROM post_edits e WHERE e.post_id = p.id)",
        "follows between accounts that block": "SELECT f.follower_id FROM follows f JOIN blocks b"
                                               " ON (b.account_id, b.target_id) IN ((f.follower_id, f.followee_id),"
                                               " (f.followee_id, f.follower_id)) WHERE f.follower_id >= {0}",
    }.items():
        rows = truth.servers.sql(query.format(lowest))
        if rows:
            yield f"P1: {len(rows)} {what}, such as {rows[0][0]}"


# ---- counts

def check_counts(truth):
    expected = defaultdict(lambda: [0, 0, 0])
    for follower, followee in truth.follows:
        expected[follower][1] += 1
        expected[followee][0] += 1
    for author, _, _, _, repost_of, deleted, _ in truth.posts.values():
        expected[author][2] += not repost_of and not deleted
    for row in truth.servers.sql("SELECT account_id, follower_count, following_count, post_count FROM account_stats"
                                 f" WHERE account_id >= {truth.lowest}"):
        account, counts = int(row[0]), [int(value) for value in row[1:]]
        if counts != expected[account]:
            yield f"counts: account {account} has (followers, following, posts) {counts}, SQL says {expected[account]}"
    on_posts = defaultdict(lambda: [0, 0, 0])
    for _, post in truth.likes:
        on_posts[post][0] += 1
    for _, _, reply_to, _, repost_of, deleted, _ in truth.posts.values():
        on_posts[repost_of][1] += bool(repost_of) and not deleted
        on_posts[reply_to][2] += bool(reply_to) and not deleted
    counted = {int(row[0]): [int(value) for value in row[1:]] for row in truth.servers.sql(
        "SELECT post_id, likes, reposts, replies FROM post_counts")}
    for post in truth.posts:
        if counted.get(post, [0, 0, 0]) != on_posts[post]:
            yield f"counts: post {post} has (likes, reposts, replies) {counted.get(post)}, SQL says {on_posts[post]}"


# ---- P2: home timelines

class Homes:
    """What each account's home timeline must be."""

    def __init__(self, truth):
        self.truth = truth
        self.by_author, self.followed, self.hidden = defaultdict(list), defaultdict(set), defaultdict(set)
        for post_id, row in truth.posts.items():
            if not row[5]:
                self.by_author[row[0]].append(post_id)
        for follower, followee in truth.follows:
            self.followed[follower].add(followee)
        for account, target in truth.blocks:
            self.hidden[account].add(target)
            self.hidden[target].add(account)
        for account, target in truth.mutes:
            self.hidden[account].add(target)

    def shows(self, viewer, entry):
        author, _, _, answered, repost_of, _, _ = self.truth.posts[entry]
        sources, hidden = self.followed[viewer] | {viewer}, self.hidden[viewer]
        if author in hidden:
            return False
        if repost_of:
            original = self.truth.posts[repost_of]
            return not original[5] and original[0] not in hidden
        if not answered or author == viewer:
            return True
        return (answered == author or answered in sources) and answered not in hidden

    def of(self, viewer):
        entries = [entry for author in self.followed[viewer] | {viewer} for entry in self.by_author[author]
                   if self.shows(viewer, entry)]
        return sorted(entries, reverse=True)[:HOME_LENGTH]


def ids(gateways, gateway, account, *size):
    return [item.id for item in patiently(lambda: gateways.home(gateway, account, *size))]


def difference(served, expected):
    twice = [entry for entry, n in Counter(served).items() if n > 1]
    missing, extra = set(expected) - set(served), set(served) - set(expected)
    return (f"{len(missing)} missing {sorted(missing)[-3:]}, {len(extra)} too many {sorted(extra)[-3:]}, "
            f"{len(twice)} twice" + ("" if missing or extra or twice else ", wrong order"))


FIRST_PAGES = (1, 5, 20)  # entries asked for


def check_first_pages(homes, gateways, accounts, progress):
    """What people see: one page, through each gateway, before anybody makes gateways read on."""
    for i, account in enumerate(accounts):
        expected = homes.of(account.id)
        for gateway in range(gateways.n):
            for n in FIRST_PAGES:
                served = ids(gateways, gateway, account, n, n)
                if served != expected[:n]:
                    yield (f"P2: {account} at gateway {gateway + 1}, first page of {n}: "
                           + difference(served, expected[:n]))
        progress(i + 1, len(accounts))


def check_homes(homes, gateways, accounts, progress):
    for i, account in enumerate(accounts):
        expected = homes.of(account.id)
        for gateway in range(gateways.n):
            served = ids(gateways, gateway, account)
            if served != expected:
                yield f"P2: {account} at gateway {gateway + 1}: " + difference(served, expected)
        progress(i + 1, len(accounts))


def check_audit(servers, addresses):
    """The operator's own check, over all accounts, through all gateways."""
    words = [word for address in addresses for word in ("--gateway", address)]
    done = subprocess.run([servers.worker, "audit", *words], capture_output=True, text=True, env=servers.environment,
                          check=False)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        yield f"P2: rookery-worker audit, status {done.returncode}: " + "; ".join(lines[:AT_MOST])

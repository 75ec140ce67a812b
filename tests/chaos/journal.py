"""What was acknowledged, and what may or may not have happened.

Each thing that a write changes (does a follow exist, is a post deleted, ...) is a variable: the writes of it, in order.
The last acknowledged one says what it must be. A write of unknown outcome adds its value to what it may be, for good,
because it might take effect late. Variables belong to one actor thread each, so their writes are in order.

A database that is restored loses what was committed after its copy was made: see Restore.
"""
import threading
import time

FOREVER = float("inf")


class Restore:
    """The database is what it was at some moment between copying[0] and copying[1]; until away[0] the lost one had
    served, from away[1] on the restored one does. Of the writes acknowledged at the time, by when they were tried:

        kept     ended before the copy was begun, or were tried last when the restored database served
        lost     tried first when the copy was made, ended while the old database served
        unknown  all others
    """

    def __init__(self, copying):
        self.copying, self.away = copying, (time.monotonic(), FOREVER)

    def done(self):
        self.away = (self.away[0], time.monotonic())

    def fate(self, first, began, ended):
        if ended <= self.copying[0] or began >= self.away[1]:
            return "kept"
        return "lost" if first >= self.copying[1] and ended <= self.away[0] else "unknown"


class Variable:
    __slots__ = ("writes",)

    def __init__(self, value):
        self.writes = [(value, True, (-FOREVER, -FOREVER, -FOREVER))]

    def note(self, value, outcome):
        """outcome: client.Outcome. A refused write changes nothing."""
        if not outcome.refused:
            self.writes.append((value, outcome.done, (outcome.first, outcome.began, outcome.ended)))

    def values(self, restores=()):
        """What it may be."""
        certain, maybe = None, set()
        for value, known, times in self.writes:
            fates = [restore.fate(*times) for restore in restores]
            if not known or "unknown" in fates and "lost" not in fates:
                maybe.add(value)
            elif "lost" not in fates:
                certain = value
        return {certain} | maybe


class Post:
    """A post that was acknowledged, or (id 0) a creation of unknown outcome."""

    def __init__(self, post_id, author, text, key="", reply_to=0):
        self.id, self.author, self.key, self.reply_to = post_id, author, key, reply_to
        self.written = text
        self.there, self.text, self.deleted = Variable(False), Variable(text), Variable(False)


class Journal:
    def __init__(self):
        self.lock = threading.Lock()
        self.posts, self.lost = {}, []  # by id; creations of unknown outcome
        self.relations = {}             # (kind, actor id, target id) -> Variable of bool
        self.recent = []                # ids to like, repost and answer
        self.acknowledged = self.unknown = 0
        self.problems = []
        self.times = []                 # of each acknowledged write
        self.restores = []              # in order, the last one perhaps under way

    def problem(self, text):
        with self.lock:
            self.problems.append(text)

    def relation(self, kind, actor, target, initially=False):
        key = (kind, actor, target)
        with self.lock:
            if key not in self.relations:
                self.relations[key] = Variable(initially)
            return self.relations[key]

    def note(self, outcome):
        with self.lock:
            self.acknowledged += outcome.done
            self.unknown += outcome.unknown
            if outcome.done:
                self.times.append((outcome.first, outcome.began, outcome.ended))

    def add_post(self, post):
        with self.lock:
            if post.id in self.posts:
                self.problems.append(f"two posts were acknowledged with the id {post.id}")
            self.posts[post.id] = post
            self.recent.append(post.id)
            if len(self.recent) > 500:
                del self.recent[:250]

    def add_lost(self, post):
        with self.lock:
            self.lost.append(post)

    def pick_recent(self, rng):
        with self.lock:
            return self.posts[rng.choice(self.recent)] if self.recent else None

    # ---- restores of the database

    def may_be_lost(self, outcome):
        """May the database have lost this write by now?"""
        return any(restore.fate(outcome.first, outcome.began, outcome.ended) != "kept" for restore in self.restores)

    def forget_lost(self):
        """The ids of posts that the database surely has no more; nobody likes or answers these from now on."""
        with self.lock:
            lost = {post.id for post in self.posts.values() if post.there.values(self.restores) == {False}}
            self.recent = [post for post in self.recent if post not in lost]
        return lost

    def losses(self):
        """Sentences about what restores have cost."""
        for restore in self.restores:
            fates = [restore.fate(*times) for times in self.times]
            yield (f"PostgreSQL came back {restore.away[0] - restore.copying[1]:.1f} s older: {fates.count('lost')} "
                   f"acknowledged writes are lost with that, {fates.count('unknown')} may or may not be")

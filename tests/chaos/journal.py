"""What was acknowledged, and what may or may not have happened.

Each thing that a write changes (does a follow exist, is a post deleted, ...) is a variable with the set of values it
may have. An acknowledged write leaves one; a write of unknown outcome adds its value to the set, for good, because
it might take effect late. Variables belong to one actor thread each, so their writes are in order.
"""
import threading


class Variable:
    __slots__ = ("certain", "maybe")

    def __init__(self, value):
        self.certain, self.maybe = value, None

    def acknowledged(self, value):
        self.certain = value

    def unknown(self, value):
        self.maybe = (self.maybe or set()) | {value}

    def values(self):
        return {self.certain} | (self.maybe or set())

    def surely(self, value):
        return self.values() == {value}


class Post:
    """A post or repost that was acknowledged, or (id 0) a creation of unknown outcome."""

    def __init__(self, post_id, author, text, key="", reply_to=0):
        self.id, self.author, self.key, self.reply_to = post_id, author, key, reply_to
        self.text, self.deleted = Variable(text), Variable(False)


class Journal:
    def __init__(self):
        self.lock = threading.Lock()
        self.posts, self.lost = {}, []  # by id; creations of unknown outcome
        self.relations = {}             # (kind, actor id, target id) -> Variable of bool
        self.recent = []                # ids to like, repost and answer
        self.acknowledged = self.unknown = 0
        self.problems = []

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

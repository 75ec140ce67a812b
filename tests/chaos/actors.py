"""The accounts' doings: each thread acts for a group of them, and changes relations within its group only.

So everything that is written about one pair of accounts, or one post, is written in order by one thread, and the
journal knows what must be true. What can be checked at once is: one's own post is there (P6), what was removed is
not (P3), and pages are in order (P5).
"""
import threading
import time

import grpc

from client import PATIENCE_S, UNCERTAIN, ShortPage, random_for, write
from journal import Post

WRITES_LEFT_UNKNOWN = 0.3  # of those that fail, the share that is not tried again


class Actor(threading.Thread):
    def __init__(self, number, group, world):
        super().__init__(name=f"actor {number}", daemon=True)
        self.rng = random_for(world.seed, self.name)
        self.group, self.world = group, world
        self.gateways, self.journal = world.gateways, world.journal
        self.by_id = {account.id: account for account in group}
        self.own = {account.id: [] for account in group}  # posts still there, surely
        self.posted = {account.id: 0 for account in group}
        self.n = 0
        self.doings = [(25, self.create), (4, self.edit), (4, self.delete), (10, self.like), (3, self.unlike),
                       (6, self.repost), (2, self.unrepost), (8, self.follow), (6, self.unfollow), (2, self.block),
                       (3, self.unblock), (2, self.mute), (3, self.unmute), (20, self.read)]

    # ---- the thread

    def run(self):
        try:
            self.act()
        except grpc.RpcError as error:
            self.journal.problem(f"{self.name} got an answer that no client should: {error.code().name}: "
                                 f"{error.details()}")
        except Exception as error:  # the run must end, and say why
            self.journal.problem(f"{self.name} stopped: {error!r}")
            raise

    def act(self):
        owed = [account for account in self.group for _ in range(2)]
        self.rng.shuffle(owed)
        for account in self.group:
            self.read(account)
        weights = [weight for weight, _ in self.doings]
        while owed or not self.world.over():
            if self.world.stop.is_set():
                break
            if owed:
                self.create(owed.pop())
                if self.world.over() and owed:
                    continue
            self.rng.choices(self.doings, weights)[0][1](self.rng.choice(self.group))

    def write(self, account, name, **fields):
        give_up_ns = time.monotonic_ns() + PATIENCE_S * 10**9
        outcome = write(self.gateways, self.rng, account, name, give_up_ns,
                        self.rng.random() < WRITES_LEFT_UNKNOWN, **fields)
        self.journal.note(outcome)
        return outcome

    def other(self, account):
        other = account
        while other is account:
            other = self.rng.choice(self.group)
        return other

    # ---- posts

    def create(self, account):
        self.n += 1
        key = f"{self.name} {self.n}"
        text = f"{self.rng.choice(['tide', 'wind', 'flock', 'nest'])} {key} #chaos"
        reply_to = 0
        answered = self.journal.pick_recent(self.rng)
        if answered and self.rng.random() < 0.2:
            reply_to = answered.id
        outcome = self.write(account, "CreatePost", text=text, idempotency_key=key, reply_to_id=reply_to)
        if outcome.unknown:
            self.journal.add_lost(Post(0, account.id, text, key, reply_to))
        if not outcome.done:
            return
        post = Post(outcome.reply.post.id, account.id, text, key, reply_to)
        post.there.note(True, outcome)
        self.journal.add_post(post)
        self.own[account.id].append((post, outcome))
        self.posted[account.id] += 1
        if self.rng.random() < 0.25:
            self.check_own(account, post, outcome)

    def own_post(self, account):
        """A post and the outcome of its creation."""
        return self.rng.choice(self.own[account.id]) if self.own[account.id] else (None, None)

    def edit(self, account):
        post, created = self.own_post(account)
        if not post:
            return
        self.n += 1
        text = f"edited {self.name} {self.n}"
        outcome = self.write(account, "EditPost", post_id=post.id, text=text)
        post.text.note(text, outcome)
        self.check_allowed(account, "edit", post, created, outcome)

    def delete(self, account):
        post, created = self.own_post(account)
        if not post:
            return
        self.own[account.id].remove((post, created))
        outcome = self.write(account, "DeletePost", post_id=post.id)
        post.deleted.note(True, outcome)
        self.check_allowed(account, "delete", post, created, outcome)

    def check_allowed(self, account, what, post, created, outcome):
        if outcome.refused and not self.journal.may_be_lost(created):
            self.journal.problem(f"{account} may not {what} their post {post.id}: {outcome.error.details()}")

    # ---- likes and reposts, of anybody's posts

    def engage(self, account, name, kind, value):
        post = self.journal.pick_recent(self.rng)
        if not post:
            return
        outcome = self.write(account, name, post_id=post.id)
        self.journal.relation(kind, account.id, post.id).note(value, outcome)

    def like(self, account):
        self.engage(account, "Like", "like", True)

    def unlike(self, account):
        self.engage(account, "Unlike", "like", False)

    def repost(self, account):
        self.engage(account, "Repost", "repost", True)

    def unrepost(self, account):
        self.engage(account, "Unrepost", "repost", False)

    # ---- relations, within the group

    def relate(self, account, name, kind, value, others=()):
        """others: what the same write ends as well: (kind, of whom). The target and the outcome, where it was done."""
        target = self.other(account)
        outcome = self.write(account, name, account_id=target.id)
        changes = [(self.journal.relation(kind, account.id, target.id), value)]
        changes += [(self.journal.relation(other, *pair(account, target)), False) for other, pair in others]
        for variable, new in changes:
            variable.note(new, outcome)
        return (target, outcome) if outcome.done else (None, None)

    def follow(self, account):
        self.relate(account, "Follow", "follow", True)

    def unfollow(self, account):
        target, outcome = self.relate(account, "Unfollow", "follow", False)
        if target:
            self.check_gone(account, target, outcome, "unfollowing", reposts_too=False)

    def block(self, account):
        target, outcome = self.relate(account, "Block", "block", True, (
            ("follow", lambda a, b: (a.id, b.id)), ("follow", lambda a, b: (b.id, a.id))))
        if target:
            self.check_gone(account, target, outcome, "blocking", reposts_too=True)
            self.check_gone(target, account, outcome, "being blocked by", reposts_too=True)

    def unblock(self, account):
        self.relate(account, "Unblock", "block", False)

    def mute(self, account):
        target, outcome = self.relate(account, "Mute", "mute", True)
        if target:
            self.check_gone(account, target, outcome, "muting", reposts_too=True)

    def unmute(self, account):
        self.relate(account, "Unmute", "mute", False)

    # ---- reading, and what can be seen at once

    def home(self, account, entries=100):
        """None while no gateway answers."""
        try:
            return self.gateways.home(self.rng.randrange(self.gateways.n), account, entries)
        except ShortPage as error:
            self.journal.problem(str(error))
            return None
        except grpc.RpcError as error:
            if error.code() in UNCERTAIN:
                return None
            raise

    def read(self, account):
        forgotten = self.world.forgotten()
        items = self.home(account, 200 if self.rng.random() < 0.2 else 40)
        if items is None:
            return
        ids = [item.id for item in items]
        if any(a <= b for a, b in zip(ids, ids[1:])):
            self.journal.problem(f"P5: the home timeline of {account} is not in order: {ids}")
        for item in items:
            if item.id in forgotten or item.post.id in forgotten:
                self.journal.problem(f"P2: {account} still reads {item.id}, which the database has lost")
                return

    def check_own(self, account, post, outcome):
        items = self.home(account)
        if items is not None and post.id not in [item.id for item in items] and not self.journal.may_be_lost(outcome):
            self.journal.problem(f"P6: {account} does not see their own new post {post.id} at home")

    def check_gone(self, account, target, outcome, what, reposts_too):
        for item in self.home(account) or ():
            shown_for = item.reposted_by_id or item.post.author_id
            if shown_for == target.id or reposts_too and item.post.author_id == target.id:
                if not self.journal.may_be_lost(outcome):
                    self.journal.problem(f"P3: after {what} {target}, {account} still reads entry {item.id}")
                return

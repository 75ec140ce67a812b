#!/usr/bin/python3
"""P3, prompt removal: after unfollow, block or mute is acknowledged, the next read shows none of it, through whichever
gateway; a second after a delete or an edit is acknowledged, no gateway shows the old post."""
import os
import sys
import time

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from people import GatewayProcess, Person, first_gateway  # noqa: E402
from tap import check, done_testing, eventually, fails_with, note  # noqa: E402

ROUNDS = 15
# The promise: longest that any gateway may show what was deleted or edited.
PROMISE_S = 1.0


def shown_of(viewer, author, gateway):
    """Entries at home that are the author's, or reposts of what is."""
    return [item.id for item in viewer.home(100, gateway=gateway).items
            if author.id in (item.post.author_id, item.reposted_by_id)]


class Scene:
    """A viewer who follows an author and a friend; the friend has reposted the author. All of it is in the caches of
    both gateways, and in a materialised timeline."""

    def __init__(self, gateways):
        self.gateways = gateways
        self.viewer, self.author, self.friend = Person("viewer"), Person("author"), Person("friend")
        self.viewer.follow(self.author)
        self.viewer.follow(self.friend)
        self.posts = [self.author.post(f"post {i}").id for i in range(3)]
        self.reposted = self.author.post("to be reposted").id
        self.repost = self.friend.repost(self.reposted)
        self.all = sorted([*self.posts, self.reposted, self.repost], reverse=True)
        self.ready = all(eventually(lambda g=g: self.viewer.home_ids(g) == self.all) for g in gateways)

    def rounds(self, name, actor, target, remove, restore, left):
        """Removes at one gateway, reads at each at once; restores, and reads again; and so on."""
        wrong = []
        for i in range(ROUNDS):
            at = self.gateways[i % 2]
            actor.relate(remove, target, at)
            for gateway in (self.gateways[(i + 1) % 2], at):
                shown = self.viewer.home_ids(gateway)
                if shown != left:
                    wrong.append(f"round {i}: after {remove} at {at.address}, {gateway.address} shows {shown}")
            for what, whom in restore:
                whom.relate(what, self.author if whom is self.viewer else self.viewer, at)
            back = self.viewer.home_ids(self.gateways[(i + 1) % 2])
            if back != self.all:
                wrong.append(f"round {i}: after {restore[-1][0]}, {back} is shown")
        check(name, not wrong, "\n".join(wrong[:5]))


def relations(gateways):
    s = Scene(gateways)
    check("everything is shown at first, by both gateways", s.ready)
    of_friend, nothing_of = [s.repost], []
    s.rounds("after unfollowing, the next read shows none of theirs; what others repost stays", s.viewer, s.author,
             "Unfollow", [("Follow", s.viewer)], of_friend)
    s.rounds("after muting, the next read shows none of theirs, reposted neither", s.viewer, s.author, "Mute",
             [("Unmute", s.viewer)], nothing_of)
    s.rounds("after blocking, the next read shows none of theirs, reposted neither", s.viewer, s.author, "Block",
             [("Unblock", s.viewer), ("Follow", s.viewer)], nothing_of)
    s.rounds("after being blocked, the next read shows none of theirs, reposted neither", s.author, s.viewer, "Block",
             [("Unblock", s.author), ("Follow", s.viewer)], nothing_of)


def other_surfaces(gateways):
    one, two = gateways
    viewer, author = Person("viewer"), Person("author")
    post = author.post("seen by all").id
    for gateway in gateways:
        viewer.get(post, gateway)
        viewer.timeline_of(author, gateway=gateway)
    author.relate("Block", viewer, one)
    denied, hidden = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
    fails_with("once blocked, GetPost is refused at the other gateway", hidden, lambda: viewer.get(post, two))
    fails_with("so is the thread", hidden, lambda: viewer.thread(post, two))
    fails_with("so is the author's timeline", denied, lambda: viewer.timeline_of(author, gateway=two))
    fails_with("so is a reply", hidden, lambda: viewer.post("re", two, reply_to_id=post))


def live(gateways):
    one, two = gateways
    viewer, author, friend = Person("viewer"), Person("author"), Person("friend")
    viewer.follow(author)
    viewer.follow(friend)
    feed = viewer.feed(gateway=two)
    first = author.post("while followed").id
    got = feed.wait("item")
    check("a live stream brings what is followed", got is not None and got.item.id == first)
    viewer.relate("Unfollow", author, one)
    check("after unfollowing it says: read again", feed.wait("reset") is not None)
    author.post("no longer followed")
    last = friend.post("still followed").id
    got = feed.wait("item")
    check("and brings none of theirs any more", got is not None and got.item.id == last, got)
    feed.cancel()


def texts_shown(viewer, author, post_id, gateway):
    """What each surface shows of a post; None where it is gone."""
    found = {}
    try:
        found["GetPost"] = viewer.get(post_id, gateway).text
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        found["GetPost"] = None
    for name, items in (("home", viewer.home(100, gateway=gateway).items),
                        ("the author's timeline", viewer.timeline_of(author, 100, gateway=gateway).items)):
        found[name] = next((item.post.text for item in items if item.post.id == post_id), None)
    return found


def deletes_and_edits(gateways):
    viewer, author = Person("viewer"), Person("author")
    viewer.follow(author)
    n = 12
    ids = [author.post(f"old {i}").id for i in range(n)]
    check("the posts are in the caches of both gateways", all(eventually(
        lambda g=g: all(set(texts_shown(viewer, author, i, g).values()) == {f"old {ids.index(i)}"} for i in ids))
        for g in gateways))
    wrong, longest = [], 0.0
    for i, post_id in enumerate(ids):
        at, other = gateways[i % 2], gateways[(i + 1) % 2]
        expected = None if i % 3 else f"new {i}"
        if expected is None:
            author.delete(post_id, at)
        else:
            author.edit(post_id, expected, at)
        acknowledged = time.monotonic()
        while set(texts_shown(viewer, author, post_id, other).values()) != {expected}:
            longest = max(longest, time.monotonic() - acknowledged)
            if time.monotonic() - acknowledged > PROMISE_S:
                break
        # A read that begins when the time of the promise is over has no excuse.
        if time.monotonic() - acknowledged > PROMISE_S:
            for gateway in gateways:
                shown = texts_shown(viewer, author, post_id, gateway)
                if set(shown.values()) != {expected}:
                    wrong.append(f"{gateway.address} shows {shown} of a post that is {expected or 'deleted'}")
    note(f"the old post was read last {longest * 1000:.0f} ms after the acknowledgement")
    check("a second after a delete or an edit, no gateway shows the old post", not wrong, "\n".join(wrong[:5]))
    shown = [texts_shown(viewer, author, post_id, gateway) for post_id in ids for gateway in gateways]
    wanted = [None if i % 3 else f"new {i}" for i in range(n) for _ in gateways]
    check("all of them are as they should be", [set(s.values()) for s in shown] == [{w} for w in wanted], shown)


def main():
    second = GatewayProcess()
    gateways = [first_gateway(), second.gateway]
    try:
        relations(gateways)
        other_surfaces(gateways)
        live(gateways)
        deletes_and_edits(gateways)
        check("the second gateway stops as it should", second.stop() == 0)
    finally:
        second.process.kill()
    done_testing()


main()

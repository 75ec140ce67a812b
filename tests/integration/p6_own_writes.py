#!/usr/bin/python3
"""P6, own writes: the author sees their own post at once, on every surface, through whichever gateway."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from people import GatewayProcess, Person, acc, first_gateway, sql  # noqa: E402
from rookery.events.v1 import event_pb2 as events  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

ROUNDS = 25


def missing(author, post, gateway, parent=None):
    """The surfaces that do not show it."""
    out = []
    if post.id not in author.home_ids(gateway):
        out.append("home")
    if post.id not in [item.id for item in author.timeline_of(author, 100, gateway=gateway).items]:
        out.append("the author's timeline")
    if author.get(post.id, gateway).text != post.text:
        out.append("GetPost")
    thread = author.thread(post.id, gateway)
    if thread.post.id != post.id or parent and parent not in [above.id for above in thread.ancestors]:
        out.append("its thread")
    if parent and post.id not in [reply.id for reply in author.thread(parent, gateway).replies]:
        out.append("the thread above it")
    return out


def every_surface(gateways):
    author, other = Person("author"), Person("other")
    author.follow(other)
    parent = other.post("a question").id
    for gateway in gateways:
        author.home_ids(gateway)  # the timeline is materialised, and relations are cached
    wrong = []
    for i in range(ROUNDS):
        at = gateways[i % 2]
        to = parent if i % 3 == 0 else None
        post = author.post(f"post {i}", at, **({"reply_to_id": to} if to else {}))
        for gateway in (gateways[(i + 1) % 2], at):
            for surface in missing(author, post, gateway, to):
                wrong.append(f"round {i}: written at {at.address}, {surface} at {gateway.address} does not show it")
    check("the author sees their own post at once, on every surface of both gateways", not wrong, "\n".join(wrong[:5]))


def reposts_and_edits(gateways):
    one, two = gateways
    author, other = Person("author"), Person("other")
    original = other.post("worth repeating")
    author.home_ids(two)
    repost = author.repost(original.id, one)
    check("one's own repost is at home at once", repost in author.home_ids(two))
    check("and on one's own timeline", repost in [item.id for item in author.timeline_of(author, gateway=two).items])
    post = author.post("before", one)
    author.edit(post.id, "after", one)
    check("one's own edit is shown at once where it was made", author.get(post.id, one).text == "after")


def unread_timeline(gateways):
    author = Person("author")
    post = author.post("nobody has read yet", gateways[0])
    check("also before the timeline was ever read", author.home_ids(gateways[1]) == [post.id])


class LeftBehind:
    """What a gateway leaves that committed an entry and died before it told anybody: a row, and its outbox row."""

    def __init__(self, author, text="", key="", repost_of=None):
        # Of a moment ago, and of a node that nobody holds.
        self.id = int(sql("SELECT ((extract(epoch FROM now()) * 1000)::bigint - 1704067200000) * 4194304 + 1023 * 4096")
                      [0][0])
        created = events.PostCreated(post_id=self.id)
        if repost_of:
            created.repost_of_id, created.repost_of_author_id = repost_of.id, repost_of.author_id
        event = events.Event(id=self.id, actor_id=author.id, post_created=created)
        partition = (author.id * 0x9E3779B97F4A7C15 % 2**64 >> 32) % 4
        sql(f"""BEGIN;
            INSERT INTO posts (id, author_id, text, thread_id, idempotency_key, repost_of_id)
                VALUES ({self.id}, {author.id}, '{text}', {self.id}, nullif('{key}', ''),
                        {repost_of.id if repost_of else 'NULL'});
            INSERT INTO outbox (id, partition, payload)
                VALUES ({self.id}, {partition}, '\\x{event.SerializeToString().hex()}');
            COMMIT""")


def retry_after_a_crash(gateways):
    author, other = Person("author"), Person("other")
    author.home_ids(gateways[1])
    left = LeftBehind(author, "left behind", "key")
    post = author.post("left behind", gateways[0], idempotency_key="key")
    check("a retry gives the post that a dead gateway left", post.id == left.id)
    wrong = missing(author, post, gateways[1])
    check("and the author sees it at once, on every surface", not wrong, wrong)
    original = other.post("worth repeating")
    left = LeftBehind(author, repost_of=original)
    check("so with a repost", author.repost(original.id, gateways[0]) == left.id)
    check("which is at home at once, too", author.home_ids(gateways[1]) == [left.id, post.id])
    me = acc.GetAccountRequest(id=author.id)
    count = lambda: gateways[0].accounts.GetAccount(me, **author.me).account.post_count
    check("the post is counted once its event is relayed", eventually(lambda: count() == 1), count())
    check("and both are shown once", author.home_ids(gateways[0]) == [left.id, post.id], author.home_ids(gateways[0]))


def main():
    second = GatewayProcess()
    gateways = [first_gateway(), second.gateway]
    try:
        every_surface(gateways)
        reposts_and_edits(gateways)
        unread_timeline(gateways)
        retry_after_a_crash(gateways)
    finally:
        second.stop()
    done_testing()


main()

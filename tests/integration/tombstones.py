#!/usr/bin/python3
"""What stands below a post that was deleted is reached from the top of its thread, over a tombstone, and nothing else shows one.
Prints TAP. Runs against the shared stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, People  # noqa: E402
from rookery.v1 import post_pb2 as posts  # noqa: E402
from tap import check, done_testing, eventually, fails_with  # noqa: E402

NOT_FOUND = grpc.StatusCode.NOT_FOUND


def replies(person, post_id, size=100):
    """All direct replies, page by page, and the pages' lengths."""
    found, lengths, token = [], [], ""
    while True:
        reply = person.posts.ListReplies(posts.ListRepliesRequest(post_id=post_id, page_size=size, page_token=token), **person.me)
        found += reply.posts
        lengths.append(len(reply.posts))
        token = reply.next_page_token
        if not token:
            return found, lengths


def ids(shown):
    """Tombstones have a minus."""
    return [-post.id if post.deleted else post.id for post in shown]


def walk(person, post_id):
    """Everything that is reached from a post by ListReplies."""
    found = []
    for post in replies(person, post_id)[0]:
        found += [post.id] * (not post.deleted) + walk(person, post.id)
    return found


def is_bare(post):
    """Whether it has nothing but its place."""
    bare = posts.Post(id=post.id, reply_to_id=post.reply_to_id, thread_id=post.thread_id, reply_count=post.reply_count, deleted=True)
    return post == bare


def in_the_middle(ada, bob, cleo):
    root = ada.post("root")
    mid = bob.reply(root, "mid, with @nobody and #tag")
    leaf = cleo.reply(mid, "leaf")
    for who in (ada, cleo):
        who.posts.BookmarkPost(posts.BookmarkPostRequest(post_id=mid.id), **who.me)
        who.like(mid)
    bob.delete(mid)
    for who in (ada, bob, cleo):
        shown = replies(who, root.id)[0]
        check("a deleted reply that was replied to leaves a tombstone", ids(shown) == [-mid.id], shown)
        check("which has its place and nothing else", is_bare(shown[0]) and shown[0].reply_to_id == root.id, shown)
    check("below it is what stands there", ids(replies(ada, mid.id)[0]) == [leaf.id])
    seen = ada.thread(mid)
    check("its thread is that of its place", (ids([seen.post]), ids(seen.ancestors), ids(seen.replies)) ==
          ([-mid.id], [root.id], [leaf.id]), seen)
    check("no account is named but those that are shown", {a.id for a in seen.accounts} <= {ada.id, bob.id, cleo.id} and
          bob.id not in {a.id for a in ada.thread(root).accounts}, seen.accounts)
    seen = ada.thread(leaf)
    check("from below it is seen, too", (ids(seen.ancestors), ids([seen.post])) == ([root.id, -mid.id], [leaf.id]), seen)
    for name, call in (("GetPost", lambda: ada.get(mid.id)), ("a like", lambda: ada.like(mid)), ("a repost", lambda: ada.repost(mid)),
                       ("an edit", lambda: bob.edit(mid, "again")),
                       ("ListLikes", lambda: ada.posts.ListLikes(posts.ListLikesRequest(post_id=mid.id), **ada.me)),
                       ("ListEdits", lambda: ada.posts.ListEdits(posts.ListEditsRequest(post_id=mid.id), **ada.me)),
                       ("a bookmark", lambda: ada.posts.BookmarkPost(posts.BookmarkPostRequest(post_id=mid.id), **ada.me))):
        fails_with(f"a tombstone is not found by {name}", NOT_FOUND, call, "post_id")
    fails_with("nor can it be replied to", NOT_FOUND, lambda: ada.reply(mid, "late"), "reply_to_id")
    check("lists of posts show none", mid.id not in bob.timeline_of(bob) and mid.id not in ada.home_ids() and
          mid.id not in [p.id for p in ada.posts.ListBookmarks(posts.ListBookmarksRequest(), **ada.me).posts])
    cleo.delete(leaf)
    check("when nothing stands below it any more, it is gone", replies(ada, root.id)[0] == [])
    fails_with("and not found", NOT_FOUND, lambda: replies(ada, mid.id), "post_id")
    fails_with("its thread neither", NOT_FOUND, lambda: ada.thread(mid), "post_id")


def many_in_a_row(ada, bob, cleo):
    chain = [ada.post("the first")]
    for i in range(5):
        chain.append((bob if i % 2 else cleo).reply(chain[-1], f"below {i}"))
    for post, who in zip(chain[1:5], (cleo, bob, cleo, bob)):
        who.delete(post)
    check("what stands below four of them is reached", walk(ada, chain[0].id) == [chain[5].id])
    ada.delete(chain[0])
    seen = bob.thread(chain[5])
    check("so is a deleted first post", ids(seen.ancestors) == [-post.id for post in chain[:5]], seen)
    check("from it everything is reached", walk(bob, chain[0].id) == [chain[5].id])
    check("its thread can be read", ids([bob.thread(chain[0]).post]) == [-chain[0].id])
    cleo.delete(chain[5])
    for post in chain:
        fails_with("without the last nothing is left", NOT_FOUND, lambda p=post: ada.thread(p), "post_id")


def pages(ada, bob, cleo):
    root, wanted = ada.post("with many replies"), []
    for i in range(12):
        reply = bob.reply(root, f"reply {i}")
        if i % 3 == 0:
            cleo.reply(reply, "below it")
        if i % 3 < 2:
            bob.delete(reply)
        if i % 3 != 1:
            wanted.append(-reply.id if i % 3 == 0 else reply.id)
    for size in (1, 2, 3, 7, 100):
        found, lengths = replies(ada, root.id, size)
        full = all(length == size for length in lengths[:-1])
        check(f"pages of {size}: tombstones are in their places, and pages are full but the last", ids(found) == wanted and full,
              (ids(found), wanted, lengths))
    first = ada.thread(root, size=3)
    rest = ada.posts.ListReplies(posts.ListRepliesRequest(post_id=root.id, page_size=100, page_token=first.next_page_token), **ada.me)
    check("a thread's first page goes on with ListReplies", ids(first.replies) + ids(rest.posts) == wanted)


def reposted(ada, bob, cleo):
    """A repost is no place in a thread: it goes with its original."""
    cleo.follow(bob)
    root = ada.post("root")
    mid = ada.reply(root, "mid")
    repost = bob.repost(mid)
    leaf = cleo.reply(mid, "leaf")
    check("a repost of a reply is at home", eventually(lambda: repost in cleo.home_ids()))
    ada.delete(mid)
    check("with its original it is gone", repost not in cleo.home_ids() and repost not in cleo.timeline_of(bob))
    check("the tombstone stands in the thread", ids(replies(cleo, root.id)[0]) == [-mid.id] and walk(cleo, root.id) == [leaf.id])


def blocked(ada, bob, cleo):
    """Whether the other was deleted or has blocked somebody is not said: one sees the same."""
    root = ada.post("root")
    mid = bob.reply(root, "mid")
    leaf = cleo.reply(mid, "leaf")
    alone = bob.reply(root, "nothing below")
    below = bob.reply(root, "below is another of the same")
    bob.reply(below, "also bob's")
    ada.block(bob)
    check("a reply of somebody blocked is a tombstone when there is something below", ids(replies(ada, root.id)[0]) == [-mid.id])
    check("with nothing of it", is_bare(replies(ada, root.id)[0][0]))
    check("others see all", ids(replies(cleo, root.id)[0]) == [mid.id, alone.id, below.id])
    check("what is below is reached", walk(ada, root.id) == [leaf.id])
    check("its thread is that of its place", ids([ada.thread(mid).post]) == [-mid.id])
    check("from below it is seen", ids(ada.thread(leaf).ancestors) == [root.id, -mid.id])
    for name, post in (("a reply of theirs with nothing below", alone), ("one with only theirs below", below)):
        fails_with(f"{name} is not found", NOT_FOUND, lambda p=post: ada.thread(p), "post_id")
    mine = bob.post("bob's root")
    above = bob.reply(mine, "bob's again")
    answer = cleo.reply(above, "cleo's")
    check("one may read up from what one sees", ids(ada.thread(answer).ancestors) == [-mine.id, -above.id])
    check("and down from the top", walk(ada, mine.id) == [answer.id])
    both = cleo.reply(mine, "cleo's, to be deleted")
    below_both = bob.reply(both, "bob's below")
    last = cleo.reply(below_both, "cleo's below that")
    cleo.delete(both)
    check("through what is deleted and what is blocked", walk(ada, mine.id) == [answer.id, last.id])
    ada.unblock(bob)
    check("unblocked, all is there", ids(replies(ada, root.id)[0]) == [mid.id, alone.id, below.id])


people = People(connect())
in_the_middle(*people.named("ada", "bob", "cleo"))
many_in_a_row(*people.named("ada", "bob", "cleo"))
pages(*people.named("ada", "bob", "cleo"))
blocked(*people.named("ada", "bob", "cleo"))
reposted(*people.named("ada", "bob", "cleo"))
done_testing()

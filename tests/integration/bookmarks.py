#!/usr/bin/python3
"""Bookmarks: private, listed in the order in which they were made, seen at once through every gateway, and never of what one may
not see. Prints TAP. Runs against the shared stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, Feed, People  # noqa: E402
from people import GatewayProcess  # noqa: E402
from rookery.v1 import post_pb2 as posts  # noqa: E402
from tap import check, done_testing, fails_with  # noqa: E402


def bookmark(person, post_id):
    person.posts.BookmarkPost(posts.BookmarkPostRequest(post_id=post_id), **person.me)


def unbookmark(person, post_id):
    person.posts.UnbookmarkPost(posts.UnbookmarkPostRequest(post_id=post_id), **person.me)


def page(person, size=100, token=""):
    return person.posts.ListBookmarks(posts.ListBookmarksRequest(page_size=size, page_token=token), **person.me)


def listed(person, size=100):
    """The ids of all pages, and the pages' lengths."""
    ids, lengths, token = [], [], ""
    while True:
        reply = page(person, size, token)
        ids += [post.id for post in reply.posts]
        lengths.append(len(reply.posts))
        token = reply.next_page_token
        if not token:
            return ids, lengths


def marks(person, post_id):
    """The flag where a post is shown: alone, at home, in its thread, in the list."""
    at_home = [item.post.bookmarked_by_viewer for item in person.home(100).items if item.post.id == post_id]
    return [person.get(post_id).bookmarked_by_viewer, *at_home, person.thread(person.get(post_id)).post.bookmarked_by_viewer]


def shown(people, elsewhere):
    ada, bob, _ = people
    post = ada.post("worth keeping")
    bob.home(100)
    check("a post is not bookmarked at first", marks(bob, post.id) == [False] * 3, marks(bob, post.id))
    bookmark(bob, post.id)
    for name, at in (("its", bob), ("another", bob.at(elsewhere))):
        check(f"a bookmark is shown at once by {name} gateway", marks(at, post.id) == [True] * 3, marks(at, post.id))
        check(f"and listed by {name} gateway", listed(at)[0] == [post.id])
    check("nobody else sees it", marks(ada, post.id) == [False] * 3 and listed(ada)[0] == [])
    bookmark(bob, post.id)
    check("bookmarking twice is bookmarking once", listed(bob)[0] == [post.id])
    unbookmark(bob, post.id)
    check("it is gone at once", marks(bob.at(elsewhere), post.id) == [False] * 3 and listed(bob.at(elsewhere))[0] == [])
    unbookmark(bob, post.id)
    check("taking back twice is fine", listed(bob)[0] == [])


def order_and_pages(people):
    ada, _, cleo = people
    written = [ada.post(f"post {i}").id for i in range(7)]
    order = [written[i] for i in (3, 0, 6, 1, 5, 2, 4)]
    for post_id in order:
        bookmark(cleo, post_id)
    newest_first = order[::-1]
    for size in (1, 2, 3, 7, 100):
        ids, lengths = listed(cleo, size)
        full = all(length == size for length in lengths[:-1])
        check(f"pages of {size}: the latest bookmark first, full pages but the last", ids == newest_first and full, (ids, lengths))
    first = page(cleo, 3)
    late = ada.post("bookmarked while somebody reads")
    bookmark(cleo, late.id)
    rest = [post.id for post in page(cleo, 100, first.next_page_token).posts]
    check("pages are stable under new bookmarks", rest == newest_first[3:], rest)
    unbookmark(cleo, late.id)
    for index in (0, 3):
        ada.delete(ada.get(newest_first[index]))
    left = [post_id for i, post_id in enumerate(newest_first) if i not in (0, 3)]
    check("posts that were deleted are left out, and pages filled", listed(cleo, 2) == (left, [2, 2, 1]), listed(cleo, 2))
    check("accounts come with them", [account.id for account in page(cleo).accounts] == [ada.id])
    ada.block(cleo)
    check("so are those of an account that has blocked the reader", listed(cleo)[0] == [], listed(cleo))
    fails_with("nor can any be bookmarked then", grpc.StatusCode.NOT_FOUND, lambda: bookmark(cleo, left[0]), "post_id")
    unbookmark(cleo, left[0])
    ada.unblock(cleo)
    check("what was taken back meanwhile is gone", listed(cleo)[0] == left[1:])


def refused(people):
    ada, bob, _ = people
    original = ada.post("original")
    repost = bob.repost(original)
    for name, post_id in (("what does not exist", 1), ("a repost", repost)):
        fails_with(f"{name} cannot be bookmarked", grpc.StatusCode.NOT_FOUND, lambda post_id=post_id: bookmark(bob, post_id),
                   "post_id")
    token = page(ada, 1).next_page_token or bob.home(1).next_page_token
    fails_with("a page token of another list is refused", grpc.StatusCode.INVALID_ARGUMENT, lambda: page(ada, 1, token), "page_token")


def replayed(people):
    """A stream that is resumed brings posts with what its reader has done with them meanwhile."""
    ada, bob, _ = people
    feed = Feed(bob)
    feed.close()
    post = ada.post("bookmarked before the stream is resumed")
    bookmark(bob, post.id)
    feed = Feed(bob, token=feed.token)
    message = feed.wait("item", lambda m: m.item.id == post.id)
    feed.close()
    check("a resumed stream has the flag, too", message is not None and message.item.post.bookmarked_by_viewer)


def main():
    second = GatewayProcess()
    try:
        people = People(connect()).named("ada", "bob", "cleo")
        people[1].follow(people[0])
        shown(people, connect(second.gateway.address))
        order_and_pages(people)
        refused(people)
        replayed(people)
    finally:
        second.stop()
    done_testing()


main()

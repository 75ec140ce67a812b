#!/usr/bin/python3
"""Lists of which nearly everything is hidden from who reads them: a call looks at a bounded part, its page ends there, and the
next one goes on behind. Prints TAP. Runs against the shared stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from callers import connect, People  # noqa: E402
from rookery.v1 import post_pb2 as posts  # noqa: E402
from rookery.v1 import timeline_pb2 as timelines  # noqa: E402
from stack import sql  # noqa: E402
from tap import check, done_testing  # noqa: E402

HIDDEN = 600


class Hidden:
    """Posts of somebody, right behind a post or right before it; written past the gateways, which limits would delay."""

    def __init__(self, near, author, after=False, replies_to=None, reposts_of=None):
        self.first = near.id + (4096 if after else -HIDDEN * 4194304)  # the milliseconds are 22 bits up
        self.ids = f"(SELECT {self.first} + n AS id, n FROM generate_series(1, {HIDDEN}) n) hidden"
        to, account = (replies_to.id, replies_to.author_id) if replies_to else ("NULL", "NULL")
        original = f"{reposts_of.first} + n" if reposts_of else "NULL"
        sql(f"""INSERT INTO posts (id, author_id, text, thread_id, reply_to_id, reply_to_account_id, repost_of_id)
                    SELECT id, {author.id}, '{"" if reposts_of else "hidden"}', {replies_to.id if replies_to else "id"}, {to},
                           {account}, {original} FROM {self.ids}""")


def check_list(name, page, seen, hide):
    """page(size, token) returns the ids of a page and the next token; seen: what is behind the hidden ones."""
    check(f"{name}: before they are hidden, pages are full", [len(page(size, "")[0]) for size in (1, 20, 100)] == [1, 20, 100])
    hide()
    found, token = page(20, "")
    check(f"{name}: a page of hidden ones is empty, and leads on", found == [] and token, found)
    for size in (1, 20, 100):
        ids, pages, token = [], 0, ""
        while pages == 0 or token:
            found, token = page(size, token)
            ids += found
            pages += 1
        check(f"{name}: pages of {size} come to what is behind them", ids == [seen] and pages <= 4, (ids, pages))


def bookmarks(ada, dan, eve):
    seen = ada.post("bookmarked first")
    eve.posts.BookmarkPost(posts.BookmarkPostRequest(post_id=seen.id), **eve.me)
    hidden = Hidden(seen, dan)
    sql(f"""INSERT INTO bookmarks (account_id, post_id, id)
                SELECT {eve.id}, id, (SELECT id FROM bookmarks WHERE account_id = {eve.id}) + n FROM {hidden.ids}""")

    def page(size, token):
        reply = eve.posts.ListBookmarks(posts.ListBookmarksRequest(page_size=size, page_token=token), **eve.me)
        return [post.id for post in reply.posts], reply.next_page_token

    check_list("bookmarks", page, seen.id, lambda: dan.block(eve))


def replies(ada, dan, eve):
    root = ada.post("replied to")
    Hidden(root, dan, after=True, replies_to=root)
    seen = ada.reply(root, "the last reply")

    def page(size, token):
        reply = eve.posts.ListReplies(posts.ListRepliesRequest(post_id=root.id, page_size=size, page_token=token), **eve.me)
        return [post.id for post in reply.posts], reply.next_page_token

    check_list("replies", page, seen.id, lambda: eve.block(dan))
    below = eve.thread(root)
    check("a thread's first page is cut in the same way", not below.replies and below.next_page_token, below)


def an_accounts_own(ada, dan, eve):
    seen = ada.post("an account's first post")
    Hidden(seen, ada, after=True, reposts_of=Hidden(seen, dan))

    def page(size, token):
        reply = eve.timelines.GetUserTimeline(timelines.GetUserTimelineRequest(account_id=ada.id, page_size=size,
                                                                               page_token=token), **eve.me)
        return [item.id for item in reply.items], reply.next_page_token

    check_list("an account's posts", page, seen.id, lambda: dan.block(eve))


def main():
    people = People(connect())
    for part in (bookmarks, replies, an_accounts_own):
        part(*people.named("ada", "dan", "eve"))
    done_testing()


main()

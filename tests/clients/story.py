#!/usr/bin/python3
"""The whole story with Debian's grpcio: register, login, follow, post, read, stream live, edit, delete; and what goes wrong.

Prints TAP. Needs ROOKERY_GATEWAY (ADDR:PORT of a gateway with workers behind it) and the stubs on PYTHONPATH.
"""
import os
import secrets
import sys

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from people import Person, acc, first_gateway, graph, posts, sql, tl  # noqa: E402
from tap import PATIENCE_S, check, done_testing, eventually, fails_with  # noqa: E402

gateway = first_gateway()
accounts, relations, post_service, timelines = gateway.accounts, gateway.relations, gateway.posts, gateway.timelines


def accounts_story(ada, bob):
    login = accounts.Login(acc.LoginRequest(handle=ada.handle.upper(), password=ada.password), timeout=PATIENCE_S)
    check("logging in gives another session of the same account",
          login.account.id == ada.id and login.token != ada.token)
    fails_with("a wrong password is refused", grpc.StatusCode.UNAUTHENTICATED,
               lambda: accounts.Login(acc.LoginRequest(handle=ada.handle, password="wrong password"), timeout=30))
    fails_with("an unknown handle is refused in the same way", grpc.StatusCode.UNAUTHENTICATED,
               lambda: accounts.Login(acc.LoginRequest(handle="nobody_at_all", password="wrong password"), timeout=30))
    fails_with("a handle that is taken is refused, by name", grpc.StatusCode.ALREADY_EXISTS,
               lambda: accounts.Register(acc.RegisterRequest(handle=ada.handle, password="another one"), timeout=30),
               "handle")
    fails_with("a short password is refused, by name", grpc.StatusCode.INVALID_ARGUMENT,
               lambda: accounts.Register(acc.RegisterRequest(handle="x" + ada.handle[1:], password="short"),
                                         timeout=30), "password")
    fails_with("a call without a token is refused", grpc.StatusCode.UNAUTHENTICATED,
               lambda: timelines.GetHomeTimeline(tl.GetHomeTimelineRequest(), timeout=30))
    stranger = {"metadata": (("authorization", "Bearer " + secrets.token_urlsafe(32)),), "timeout": PATIENCE_S}
    fails_with("a made-up token is refused", grpc.StatusCode.UNAUTHENTICATED,
               lambda: timelines.GetHomeTimeline(tl.GetHomeTimelineRequest(), **stranger))
    other = {"metadata": (("authorization", "Bearer " + login.token),), "timeout": PATIENCE_S}
    accounts.Logout(acc.LogoutRequest(), **other)
    fails_with("a token is worth nothing after logging out", grpc.StatusCode.UNAUTHENTICATED,
               lambda: timelines.GetHomeTimeline(tl.GetHomeTimelineRequest(), **other))
    late = accounts.Login(acc.LoginRequest(handle=ada.handle, password=ada.password), timeout=PATIENCE_S).token
    sql(f"UPDATE sessions SET expires_at = now() - interval '1 second' WHERE token_hash = sha256('{late}')")
    expired = {"metadata": (("authorization", "Bearer " + late),), "timeout": PATIENCE_S}
    fails_with("a token that has expired is refused", grpc.StatusCode.UNAUTHENTICATED,
               lambda: timelines.GetHomeTimeline(tl.GetHomeTimelineRequest(), **expired))
    accounts.UpdateProfile(acc.UpdateProfileRequest(display_name="Ada L.", bio="first"), **ada.me)
    seen = accounts.GetAccount(acc.GetAccountRequest(handle=ada.handle), **bob.me).account
    check("a profile that was updated is seen by others", (seen.display_name, seen.bio) == ("Ada L.", "first"), seen)
    fails_with("an unknown account is not found", grpc.StatusCode.NOT_FOUND,
               lambda: accounts.GetAccount(acc.GetAccountRequest(id=1), **ada.me))


def timeline_story(ada, bob):
    bob.follow(ada)
    first = ada.post("Hello #World from @" + ada.handle)
    check("the author sees their own post at once", ada.home_ids() == [first.id])
    check("the follower gets the post", eventually(lambda: bob.home_ids() == [first.id]), bob.home_ids())
    check("tags and mentions are found", [h.tag for h in first.hashtags] == ["world"]
          and [m.handle for m in first.mentions] == [ada.handle], first)
    same = ada.post("once", idempotency_key="key-1")
    check("the same idempotency key gives the same post", ada.post("once", idempotency_key="key-1").id == same.id)
    fails_with("the same key for another text is refused", grpc.StatusCode.FAILED_PRECONDITION,
               lambda: ada.post("twice", idempotency_key="key-1"), "idempotency_key")
    fails_with("an empty text is refused, by name", grpc.StatusCode.INVALID_ARGUMENT, lambda: ada.post("  "), "text")
    fails_with("a character without end is refused", grpc.StatusCode.INVALID_ARGUMENT,
               lambda: ada.post("a" + "\u0308\u0301" * 10000), "64 bytes")
    fails_with("501 characters are refused", grpc.StatusCode.INVALID_ARGUMENT, lambda: ada.post("x" * 501), "500")
    thumb, family = "\U0001F44D\U0001F3FD", "\U0001F468\u200D\U0001F469\u200D\U0001F467"
    check("500 characters are counted as a person would", ada.post(thumb * 500).text == thumb * 500)
    fails_with("more than 4,096 bytes are refused, by name", grpc.StatusCode.INVALID_ARGUMENT,
               lambda: ada.post(family * 500), "text must be at most 4096 bytes")
    fails_with("a reply to nothing is not found", grpc.StatusCode.NOT_FOUND, lambda: ada.post("re", reply_to_id=1),
               "reply_to_id")
    fails_with("an unknown post is not found", grpc.StatusCode.NOT_FOUND,
               lambda: post_service.GetPost(posts.GetPostRequest(post_id=1), **ada.me), "post_id")
    fails_with("an unknown account cannot be followed", grpc.StatusCode.NOT_FOUND,
               lambda: relations.Follow(graph.FollowRequest(account_id=1), **ada.me), "account_id")
    other_list = timelines.GetUserTimeline(tl.GetUserTimelineRequest(account_id=ada.id, page_size=1), **bob.me)
    fails_with("the page token of another list is refused, by name", grpc.StatusCode.INVALID_ARGUMENT,
               lambda: bob.home(token=other_list.next_page_token), "page_token")
    fails_with("a bad page token is refused, by name", grpc.StatusCode.INVALID_ARGUMENT,
               lambda: bob.home(token="no such token"), "page_token")
    fails_with("a page size of 101 is refused, by name", grpc.StatusCode.INVALID_ARGUMENT,
               lambda: bob.home(size=101), "page_size")
    return first


def removal_story(ada, bob, first):
    post_service.Like(posts.LikeRequest(post_id=first.id), **bob.me)
    post_service.Like(posts.LikeRequest(post_id=first.id), **bob.me)
    seen = post_service.GetPost(posts.GetPostRequest(post_id=first.id), **bob.me)
    check("a like is shown to who gave it at once", seen.post.liked_by_viewer)
    check("the count of likes becomes exact", eventually(lambda: post_service.GetPost(
        posts.GetPostRequest(post_id=first.id), **ada.me).post.like_count == 1))
    post_service.EditPost(posts.EditPostRequest(post_id=first.id, text="Edited"), **ada.me)
    check("an edit is shown at the next read", bob.home(100).items[-1].post.text == "Edited")
    edits = post_service.ListEdits(posts.ListEditsRequest(post_id=first.id), **bob.me).edits
    check("the text before the edit is kept", [e.text[:5] for e in edits] == ["Hello"], edits)
    fails_with("another's post cannot be deleted", grpc.StatusCode.PERMISSION_DENIED,
               lambda: post_service.DeletePost(posts.DeletePostRequest(post_id=first.id), **bob.me))
    post_service.DeletePost(posts.DeletePostRequest(post_id=first.id), **ada.me)
    post_service.DeletePost(posts.DeletePostRequest(post_id=first.id), **ada.me)
    check("a deleted post is gone at the next read", first.id not in bob.home_ids())
    relations.Unfollow(graph.UnfollowRequest(account_id=ada.id), **bob.me)
    check("after unfollowing nothing of them is shown at the next read", bob.home_ids() == [], bob.home_ids())
    bob.follow(ada)
    check("after following again their posts are back at the next read", len(bob.home_ids()) == 2, bob.home_ids())
    relations.Mute(graph.MuteRequest(account_id=ada.id), **bob.me)
    check("after muting nothing of them is shown at the next read", bob.home_ids() == [])
    relations.Unmute(graph.UnmuteRequest(account_id=ada.id), **bob.me)
    check("after unmuting their posts are back at the next read", len(bob.home_ids()) == 2)
    relations.Block(graph.BlockRequest(account_id=bob.id), **ada.me)
    check("after being blocked nothing of them is shown at the next read", bob.home_ids() == [])
    fails_with("who is blocked cannot follow", grpc.StatusCode.PERMISSION_DENIED, lambda: bob.follow(ada))
    fails_with("who is blocked cannot read the timeline", grpc.StatusCode.PERMISSION_DENIED,
               lambda: timelines.GetUserTimeline(tl.GetUserTimelineRequest(account_id=ada.id), **bob.me))
    relations.Unblock(graph.UnblockRequest(account_id=bob.id), **ada.me)


def pages_story(ada, bob):
    bob.follow(ada)
    written = [ada.post(f"post {i}").id for i in range(25)]
    check("all posts arrive, newest first",
          eventually(lambda: bob.home_ids()[:25] == written[::-1]), bob.home_ids()[:3])
    page = bob.home(10)
    seen = [item.id for item in page.items]
    late = ada.post("came while reading").id
    while page.next_page_token:
        page = bob.home(10, page.next_page_token)
        check("a page is full, or the last", len(page.items) == 10 or not page.next_page_token, len(page.items))
        seen += [item.id for item in page.items]
    check("pages are stable under new posts: each entry once, none of the new",
          len(seen) == len(set(seen)) and late not in seen and seen[:25] == written[::-1], seen)


def replies_story(ada, bob):
    eve = Person("eve")
    bob.follow(ada)
    unheard = ada.post("to eve", reply_to_id=eve.post("eve's").id).id
    heard = ada.post("to bob", reply_to_id=bob.post("bob's").id).id
    check("a reply reaches a follower whom it answers", eventually(lambda: heard in bob.home_ids()))
    check("a reply to somebody a follower does not follow does not reach them", unheard not in bob.home_ids())
    bob.follow(eve)
    check("once they follow both, it does, at the next read", unheard in bob.home_ids())


def live_story(ada, bob):
    feed = bob.feed()
    sent = ada.post("live").id
    got = feed.wait("item")
    check("a post comes live", got is not None and got.item.id == sent, got)
    post_service.EditPost(posts.EditPostRequest(post_id=sent, text="live, edited"), **ada.me)
    got = feed.wait("edited")
    check("an edit comes live", got is not None and got.edited.text == "live, edited", got)
    token = feed.token
    feed.cancel()
    missed = [ada.post(f"missed {i}").id for i in range(3)]
    feed = bob.feed(token)
    got = []
    while missed[-1] not in got:
        message = feed.wait("item")
        if message is None:
            break
        got.append(message.item.id)
    check("a resumed stream brings what was missed, in order", [i for i in got if i in missed] == missed, got)
    post_service.DeletePost(posts.DeletePostRequest(post_id=sent), **ada.me)
    got = feed.wait("deleted_id")
    check("a deletion comes live", got is not None and got.deleted_id == sent, got)
    for size in (2_000_000, 3_000_000):
        fails_with("a message that is far too large is refused", grpc.StatusCode.RESOURCE_EXHAUSTED,
                   lambda n=size: bob.post("x" * n))
    after = ada.post("after the refusals").id
    got = feed.wait("item")
    check("beside which the same connection's live stream goes on", got is not None and got.item.id == after, got)
    feed.cancel()


def main():
    ada, bob = Person("ada"), Person("bob")
    accounts_story(ada, bob)
    first = timeline_story(ada, bob)
    removal_story(ada, bob, first)
    pages_story(ada, bob)
    replies_story(ada, bob)
    live_story(ada, bob)
    done_testing()


main()

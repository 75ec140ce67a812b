#!/usr/bin/python3
"""The whole story with Debian's grpcio: register, login, follow, post, read, stream live, edit, delete; and what goes wrong.

Prints TAP. Needs ROOKERY_GATEWAY (ADDR:PORT of a gateway with workers behind it) and the stubs on PYTHONPATH.
"""
import os
import queue
import secrets
import sys
import threading
import time

import grpc
from rookery.v1 import (account_pb2 as acc, account_pb2_grpc, graph_pb2 as graph, graph_pb2_grpc, post_pb2 as posts,
                        post_pb2_grpc, timeline_pb2 as tl, timeline_pb2_grpc)

PATIENCE_S = 30
channel = grpc.insecure_channel(os.environ["ROOKERY_GATEWAY"])
accounts = account_pb2_grpc.AccountServiceStub(channel)
relations = graph_pb2_grpc.GraphServiceStub(channel)
post_service = post_pb2_grpc.PostServiceStub(channel)
timelines = timeline_pb2_grpc.TimelineServiceStub(channel)

count = failed = 0


def check(name, passed, said=""):
    global count, failed
    count += 1
    failed += not passed
    print(f"{'ok' if passed else 'not ok'} {count} - {name}", flush=True)
    if not passed and said != "":
        print("# " + str(said).replace("\n", "\n# "), flush=True)


def fails_with(name, code, call, field=""):
    try:
        call()
        check(name, False, "the call succeeded")
    except grpc.RpcError as error:
        right = error.code() == code and field in error.details()
        check(name, right, f"{error.code()}: {error.details()}")


def eventually(predicate):
    end = time.monotonic() + PATIENCE_S
    while not predicate():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Person:
    def __init__(self, name):
        self.handle = f"{name}_{secrets.token_hex(5)}"
        self.password = "correct horse battery"
        reply = accounts.Register(acc.RegisterRequest(handle=self.handle, password=self.password), timeout=PATIENCE_S)
        self.id, self.token = reply.account.id, reply.token

    @property
    def me(self):
        return {"metadata": (("authorization", "Bearer " + self.token),), "timeout": PATIENCE_S}

    def post(self, text, **more):
        return post_service.CreatePost(posts.CreatePostRequest(text=text, **more), **self.me).post

    def follow(self, other):
        relations.Follow(graph.FollowRequest(account_id=other.id), **self.me)

    def home(self, size=20, token=""):
        return timelines.GetHomeTimeline(tl.GetHomeTimelineRequest(page_size=size, page_token=token), **self.me)

    def home_ids(self):
        return [item.id for item in self.home(100).items]


class Feed:
    """A live stream, read by a thread into a queue."""

    def __init__(self, person, token=""):
        """Waits until it is live, unless it resumes: then what was missed comes first."""
        self.call = timelines.StreamHomeTimeline(tl.StreamHomeTimelineRequest(resume_token=token),
                                                 metadata=person.me["metadata"])
        self.messages, self.token = queue.Queue(), token
        threading.Thread(target=self.read, daemon=True).start()
        if token == "":
            self.wait("heartbeat")

    def read(self):
        try:
            for message in self.call:
                self.messages.put(message)
        except grpc.RpcError:
            pass

    def wait(self, kind):
        """The next message of this kind, or None."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                message = self.messages.get(timeout=1)
            except queue.Empty:
                continue
            self.token = message.resume_token
            if message.WhichOneof("event") == kind:
                return message
        return None


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
    fails_with("501 characters are refused", grpc.StatusCode.INVALID_ARGUMENT, lambda: ada.post("x" * 501), "500")
    family = "\U0001F468\u200D\U0001F469\u200D\U0001F467"
    check("500 characters are counted as a person would", ada.post(family * 300).text == family * 300)
    fails_with("a reply to nothing is not found", grpc.StatusCode.NOT_FOUND, lambda: ada.post("re", reply_to_id=1),
               "reply_to_id")
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
    feed = Feed(bob)
    sent = ada.post("live").id
    got = feed.wait("item")
    check("a post comes live", got is not None and got.item.id == sent, got)
    post_service.EditPost(posts.EditPostRequest(post_id=sent, text="live, edited"), **ada.me)
    got = feed.wait("edited")
    check("an edit comes live", got is not None and got.edited.text == "live, edited", got)
    token = feed.token
    feed.call.cancel()
    missed = [ada.post(f"missed {i}").id for i in range(3)]
    feed = Feed(bob, token)
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
    feed.call.cancel()


def main():
    ada, bob = Person("ada"), Person("bob")
    accounts_story(ada, bob)
    first = timeline_story(ada, bob)
    removal_story(ada, bob, first)
    pages_story(ada, bob)
    replies_story(ada, bob)
    live_story(ada, bob)
    print(f"1..{count}")
    sys.exit(failed > 0)


main()

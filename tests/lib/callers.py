"""For test programs in Python: everything a person can do, over gRPC, in few words.

    ada, bob = People(channel).named("ada", "bob")
    bob.follow(ada); post = ada.post("hello"); bob.home_ids()
"""
import os
import queue
import secrets
import threading
import time

import grpc
from rookery.v1 import (account_pb2 as acc, account_pb2_grpc, graph_pb2 as graph, graph_pb2_grpc, post_pb2 as posts,
                        post_pb2_grpc, timeline_pb2 as tl, timeline_pb2_grpc)
from tap import PATIENCE_S, patiently


def connect(address=None):
    return grpc.insecure_channel(address or os.environ["ROOKERY_GATEWAY"])


class Someone:
    """Somebody with an account; `me` are the arguments of a call of theirs."""

    def __init__(self, name, channel):
        self.speak_to(channel)
        self.password = "correct horse battery"
        self.handle = f"{name}_{secrets.token_hex(5)}"
        reply = self.accounts.Register(acc.RegisterRequest(handle=self.handle, password=self.password),
                                       timeout=PATIENCE_S)
        self.id, self.token = reply.account.id, reply.token

    def speak_to(self, channel):
        self.channel = channel
        self.accounts = account_pb2_grpc.AccountServiceStub(channel)
        self.graph = graph_pb2_grpc.GraphServiceStub(channel)
        self.posts = post_pb2_grpc.PostServiceStub(channel)
        self.timelines = timeline_pb2_grpc.TimelineServiceStub(channel)

    @property
    def me(self):
        return {"metadata": (("authorization", "Bearer " + self.token),), "timeout": PATIENCE_S}

    def at(self, channel):
        """The same person, at another gateway."""
        other = object.__new__(Someone)
        other.__dict__.update(self.__dict__)
        other.speak_to(channel)
        return other

    def login(self):
        """Another session: its token."""
        return self.accounts.Login(acc.LoginRequest(handle=self.handle, password=self.password),
                                   timeout=PATIENCE_S).token

    def with_token(self, token):
        other = self.at(self.channel)
        other.token = token
        return other

    # --- graph ---
    def follow(self, other):
        self.graph.Follow(graph.FollowRequest(account_id=other.id), **self.me)

    def unfollow(self, other):
        self.graph.Unfollow(graph.UnfollowRequest(account_id=other.id), **self.me)

    def block(self, other):
        self.graph.Block(graph.BlockRequest(account_id=other.id), **self.me)

    def unblock(self, other):
        self.graph.Unblock(graph.UnblockRequest(account_id=other.id), **self.me)

    def mute(self, other):
        self.graph.Mute(graph.MuteRequest(account_id=other.id), **self.me)

    def unmute(self, other):
        self.graph.Unmute(graph.UnmuteRequest(account_id=other.id), **self.me)

    def standing(self, other):
        return self.accounts.GetAccount(acc.GetAccountRequest(id=other.id), **self.me).account

    # --- posts ---
    def post(self, text, **more):
        return self.posts.CreatePost(posts.CreatePostRequest(text=text, **more), **self.me).post

    def reply(self, to, text, **more):
        return self.post(text, reply_to_id=to.id, **more)

    def get(self, post_id):
        return self.posts.GetPost(posts.GetPostRequest(post_id=post_id), **self.me).post

    def edit(self, post, text):
        return self.posts.EditPost(posts.EditPostRequest(post_id=post.id, text=text), **self.me).post

    def delete(self, post):
        self.posts.DeletePost(posts.DeletePostRequest(post_id=post.id), **self.me)

    def like(self, post):
        self.posts.Like(posts.LikeRequest(post_id=post.id), **self.me)

    def repost(self, post):
        return self.posts.Repost(posts.RepostRequest(post_id=post.id), **self.me).repost_id

    def unrepost(self, post):
        self.posts.Unrepost(posts.UnrepostRequest(post_id=post.id), **self.me)

    def thread(self, post, size=20):
        return self.posts.GetThread(posts.GetThreadRequest(post_id=post.id, page_size=size), **self.me)

    # --- timelines ---
    def home(self, size=20, token=""):
        request = tl.GetHomeTimelineRequest(page_size=size, page_token=token)
        return patiently(lambda: self.timelines.GetHomeTimeline(request, **self.me))

    def home_ids(self):
        return [item.id for item in self.home(100).items]

    def timeline_of(self, other, size=100):
        request = tl.GetUserTimelineRequest(account_id=other.id, page_size=size)
        return [item.id for item in self.timelines.GetUserTimeline(request, **self.me).items]


class Feed:
    """A live stream, read by a thread into a queue."""

    def __init__(self, person, token="", read=True):
        """Waits until it is live, unless it resumes: then what was missed comes first."""
        self.call = person.timelines.StreamHomeTimeline(tl.StreamHomeTimelineRequest(resume_token=token),
                                                        metadata=person.me["metadata"])
        self.messages, self.token, self.ended = queue.Queue(), token, threading.Event()
        self.code = self.details = None
        if read:
            self.start()
            if token == "":
                self.wait(("heartbeat", "reset"))

    def start(self):
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for message in self.call:
                self.messages.put(message)
        except grpc.RpcError as error:
            self.code, self.details = error.code(), error.details()
        self.ended.set()

    def wait(self, kinds, wanted=lambda message: True):
        """The next message of this kind, or of one of these, that is wanted; None when none comes. Its token is kept."""
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                message = self.messages.get(timeout=0.2)
            except queue.Empty:
                if self.ended.is_set():
                    return None
                continue
            self.token = message.resume_token
            if message.WhichOneof("event") in kinds and wanted(message):
                return message
        return None

    def close(self):
        self.call.cancel()
        self.ended.wait(PATIENCE_S)


class People:
    def __init__(self, channel):
        self.channel = channel

    def named(self, *names):
        return [Someone(name, self.channel) for name in names]

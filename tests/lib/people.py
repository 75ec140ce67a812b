"""For test programs in Python: the stack's people, who speak gRPC, and more gateways for them to speak to.

Needs the stubs on PYTHONPATH. stack.py has the same people over Connect's JSON, and the servers.
"""
import os
import queue
import secrets
import socket
import subprocess
import threading
import time
import urllib.request

import grpc
from rookery.v1 import (account_pb2 as acc, account_pb2_grpc, graph_pb2 as graph, graph_pb2_grpc, post_pb2 as posts,
                        post_pb2_grpc, timeline_pb2 as tl, timeline_pb2_grpc)
from stack import BUILD, ENVIRONMENT, GATEWAY, sql
from tap import PATIENCE_S, eventually


class Gateway:
    """One gateway's services."""

    def __init__(self, address):
        self.address = address
        channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self.accounts = account_pb2_grpc.AccountServiceStub(channel)
        self.relations = graph_pb2_grpc.GraphServiceStub(channel)
        self.posts = post_pb2_grpc.PostServiceStub(channel)
        self.timelines = timeline_pb2_grpc.TimelineServiceStub(channel)


def first_gateway():
    return Gateway(GATEWAY)


class GatewayProcess:
    """Another gateway process of the same stack, on a port of its own."""

    def __init__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % s.getsockname()[1]
        environment = {**ENVIRONMENT, "ROOKERY_LISTEN": address, "ROOKERY_LOG_LEVEL": "warn"}
        self.process = subprocess.Popen([os.path.join(BUILD, "rookery-gateway")], env=environment)
        if not eventually(lambda: self.is_ready(address)):
            raise RuntimeError("the second gateway did not get ready")
        self.gateway = Gateway(address)

    def is_ready(self, address):
        if self.process.poll() is not None:
            raise RuntimeError(f"the second gateway ended with {self.process.returncode}")
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def stop(self):
        """The exit status."""
        self.process.terminate()
        return self.process.wait(timeout=60)


class Person:
    """An account with a session. Calls go to its own gateway unless another is given."""

    def __init__(self, name, gateway=None):
        self.gateway = gateway or first_gateway()
        self.handle = f"{name}_{secrets.token_hex(5)}"
        self.password = "correct horse battery"
        reply = self.gateway.accounts.Register(acc.RegisterRequest(handle=self.handle, password=self.password),
                                               timeout=PATIENCE_S)
        self.id, self.token = reply.account.id, reply.token

    @property
    def me(self):
        return {"metadata": (("authorization", "Bearer " + self.token),), "timeout": PATIENCE_S}

    def at(self, gateway):
        return gateway or self.gateway

    def post(self, text, gateway=None, **more):
        return self.at(gateway).posts.CreatePost(posts.CreatePostRequest(text=text, **more), **self.me).post

    def edit(self, post_id, text, gateway=None):
        return self.at(gateway).posts.EditPost(posts.EditPostRequest(post_id=post_id, text=text), **self.me).post

    def delete(self, post_id, gateway=None):
        self.at(gateway).posts.DeletePost(posts.DeletePostRequest(post_id=post_id), **self.me)

    def repost(self, post_id, gateway=None):
        return self.at(gateway).posts.Repost(posts.RepostRequest(post_id=post_id), **self.me).repost_id

    def relate(self, what, other, gateway=None):
        """what: Follow, Unfollow, Block, Unblock, Mute or Unmute."""
        request = getattr(graph, what + "Request")(account_id=other.id)
        getattr(self.at(gateway).relations, what)(request, **self.me)

    def follow(self, other, gateway=None):
        self.relate("Follow", other, gateway)

    def home(self, size=20, token="", gateway=None):
        request = tl.GetHomeTimelineRequest(page_size=size, page_token=token)
        return self.at(gateway).timelines.GetHomeTimeline(request, **self.me)

    def home_ids(self, gateway=None):
        return [item.id for item in self.home(100, gateway=gateway).items]

    def timeline_of(self, other, size=20, token="", gateway=None):
        request = tl.GetUserTimelineRequest(account_id=other.id, page_size=size, page_token=token)
        return self.at(gateway).timelines.GetUserTimeline(request, **self.me)

    def get(self, post_id, gateway=None):
        return self.at(gateway).posts.GetPost(posts.GetPostRequest(post_id=post_id), **self.me).post

    def thread(self, post_id, gateway=None):
        return self.at(gateway).posts.GetThread(posts.GetThreadRequest(post_id=post_id), **self.me)

    def feed(self, token="", gateway=None):
        return Feed(self.at(gateway), self, token)


class Feed:
    """A live stream, read by a thread into a queue."""

    def __init__(self, gateway, person, token=""):
        """Waits until it is live, unless it resumes: then what was missed comes first."""
        self.call = gateway.timelines.StreamHomeTimeline(tl.StreamHomeTimelineRequest(resume_token=token),
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

    def cancel(self):
        self.call.cancel()


__all__ = ["Feed", "Gateway", "GatewayProcess", "Person", "acc", "first_gateway", "graph", "posts", "sql", "tl"]

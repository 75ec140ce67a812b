"""The gateways as a client finds them: some of them may be dead at any moment."""
import random
import threading
import time

import grpc
from rookery.v1 import (account_pb2 as acc, account_pb2_grpc, graph_pb2 as graph, graph_pb2_grpc, post_pb2 as posts,
                        post_pb2_grpc, timeline_pb2 as tl, timeline_pb2_grpc)

CALL_TIMEOUT_S = 5
PATIENCE_S = 60
OPTIONS = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50),
           ("grpc.max_reconnect_backoff_ms", 300), ("grpc.enable_retries", 0),
           ("grpc.use_local_subchannel_pool", 1)]

# The request may have had its effect, or not.
UNCERTAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED,
             grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
# The request was understood and declined: no effect.
REFUSED = {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION,
           grpc.StatusCode.ALREADY_EXISTS}

# How UNAVAILABLE begins where the gateway did not take the call: nobody listened, or it said before that it would stop.
NOT_TAKEN = ("failed to connect", "GOAWAY received", "the server is shutting down")

METHODS = {
    "Follow": (graph_pb2_grpc.GraphServiceStub, graph.FollowRequest),
    "Unfollow": (graph_pb2_grpc.GraphServiceStub, graph.UnfollowRequest),
    "Block": (graph_pb2_grpc.GraphServiceStub, graph.BlockRequest),
    "Unblock": (graph_pb2_grpc.GraphServiceStub, graph.UnblockRequest),
    "Mute": (graph_pb2_grpc.GraphServiceStub, graph.MuteRequest),
    "Unmute": (graph_pb2_grpc.GraphServiceStub, graph.UnmuteRequest),
    "CreatePost": (post_pb2_grpc.PostServiceStub, posts.CreatePostRequest),
    "EditPost": (post_pb2_grpc.PostServiceStub, posts.EditPostRequest),
    "DeletePost": (post_pb2_grpc.PostServiceStub, posts.DeletePostRequest),
    "GetPost": (post_pb2_grpc.PostServiceStub, posts.GetPostRequest),
    "Like": (post_pb2_grpc.PostServiceStub, posts.LikeRequest),
    "Unlike": (post_pb2_grpc.PostServiceStub, posts.UnlikeRequest),
    "Repost": (post_pb2_grpc.PostServiceStub, posts.RepostRequest),
    "Unrepost": (post_pb2_grpc.PostServiceStub, posts.UnrepostRequest),
    "Register": (account_pb2_grpc.AccountServiceStub, acc.RegisterRequest),
    "GetAccount": (account_pb2_grpc.AccountServiceStub, acc.GetAccountRequest),
    "GetHomeTimeline": (timeline_pb2_grpc.TimelineServiceStub, tl.GetHomeTimelineRequest),
}


class ShortPage(Exception):
    pass


class Gateways:
    """Calls by name; each goes to one gateway, by its number."""

    def __init__(self, addresses):
        self.n = len(addresses)
        channels = [grpc.insecure_channel(address, OPTIONS) for address in addresses]
        self.calls = [{name: getattr(stub(channel), name) for name, (stub, _) in METHODS.items()}
                      for channel in channels]
        self.lock, self.statuses, self.count = threading.Lock(), {}, 0
        self.dropped = [0] * self.n  # of each: calls that it took and that ended unanswered, as its process did

    def call(self, gateway, account, name, **fields):
        """The reply, or grpc.RpcError. account: None to call as nobody."""
        code = grpc.StatusCode.OK
        metadata = (("authorization", "Bearer " + account.token),) if account else ()
        try:
            return self.calls[gateway][name](METHODS[name][1](**fields), timeout=CALL_TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            code = error.code()
            if code == grpc.StatusCode.UNAVAILABLE and not error.details().startswith(NOT_TAKEN):
                with self.lock:
                    self.dropped[gateway] += 1
            raise
        finally:
            with self.lock:
                self.count += 1
                self.statuses[code.name] = self.statuses.get(code.name, 0) + 1

    def home(self, gateway, account, entries=800, page=100):
        """The items, page by page, as served; ShortPage when a page is short and not the last (P5)."""
        items, token = [], ""
        while len(items) < entries:
            size = min(page, entries - len(items))
            reply = self.call(gateway, account, "GetHomeTimeline", page_size=size, page_token=token)
            items += reply.items
            token = reply.next_page_token
            if token and len(reply.items) < size:
                raise ShortPage(f"P5: {account} got {len(reply.items)} of {size} entries, and more are to come")
            if not token:
                break
        return items


class Outcome:
    """What became of a write: done (with its reply), refused, or unknown; and when: its first attempt began, its last
    attempt began and ended."""

    def __init__(self, kind, times, reply=None, error=None):
        self.kind, self.reply, self.error = kind, reply, error
        self.first, self.began, self.ended = times

    done = property(lambda self: self.kind == "done")
    refused = property(lambda self: self.kind == "refused")
    unknown = property(lambda self: self.kind == "unknown")


def write(gateways, rng, account, name, give_up_ns, leave_unknown, **fields):
    """Tries until it is known what became of it, as a patient client does: every write is idempotent. With
    leave_unknown it gives up at the first failure. An answer that no client should get is raised."""
    uncertain, first = None, time.monotonic()
    while True:
        began = time.monotonic()
        try:
            reply = gateways.call(rng.randrange(gateways.n), account, name, **fields)
            return Outcome("done", (first, began, time.monotonic()), reply)
        except grpc.RpcError as error:
            times = first, began, time.monotonic()
            if error.code() in REFUSED:
                # After an attempt of unknown outcome, a refusal says nothing about that one.
                return Outcome("unknown" if uncertain else "refused", times, error=error)
            if error.code() not in UNCERTAIN:
                raise
            uncertain = error
        if leave_unknown or time.monotonic_ns() > give_up_ns:
            return Outcome("unknown", times, error=uncertain)
        time.sleep(0.05 + 0.2 * rng.random())


def patiently(call):
    """call(), a read, again while no gateway answers."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() not in UNCERTAIN or time.monotonic() > end:
                raise
            time.sleep(0.1)


class Account:
    def __init__(self, number, identity, handle, token):
        self.number, self.id, self.handle, self.token = number, int(identity), handle, token

    def __repr__(self):
        return self.handle


def read_tokens(path, n):
    """The last n accounts of a tokens file."""
    with open(path, encoding="utf-8") as lines:
        return [Account(i, *line.rstrip("\n").split("\t")) for i, line in enumerate(lines.readlines()[-n:])]


def random_for(seed, name):
    return random.Random(f"{seed} {name}")

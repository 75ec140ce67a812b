#!/usr/bin/python3
"""The rules that the API keeps: relations, idempotency, threads, lists and their pages, edits, sessions; and P7, for every
method there is: without a token, with one that is worth nothing, and between people of whom one has blocked the other."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from google.protobuf import descriptor_pb2  # noqa: E402
from callers import connect, People  # noqa: E402
from rookery.v1 import account_pb2 as acc, graph_pb2 as graph, job_pb2, post_pb2 as posts, timeline_pb2 as tl  # noqa: E402
from tap import check, done_testing, eventually, fails_with  # noqa: E402

DENIED, NOT_FOUND = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
INVALID, FAILED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
channel = connect()
people = People(channel)


# --- relations ----------------------------------------------------------------------------------------------------
def relations(ada, bob):
    for name, write in (("follow", bob.follow), ("block", bob.block), ("mute", bob.mute)):
        fails_with(f"one cannot {name} oneself", INVALID, lambda w=write: w(bob), "account_id")
    nobody = type("Nobody", (), {"id": 1})
    for name in ("follow", "unfollow", "block", "unblock", "mute", "unmute"):
        fails_with(f"{name} of nobody is not found", NOT_FOUND, lambda n=name: getattr(bob, n)(nobody), "account_id")
    bob.follow(ada)
    bob.follow(ada)
    standing = bob.standing(ada)
    check("following twice is following once", standing.followed_by_viewer and not standing.follows_viewer, standing)
    check("the other side sees it", ada.standing(bob).follows_viewer)
    bob.unfollow(ada)
    bob.unfollow(ada)
    check("so is unfollowing", not bob.standing(ada).followed_by_viewer)
    bob.mute(ada)
    check("a mute is the muter's business", bob.standing(ada).muted_by_viewer and not ada.standing(bob).muted_by_viewer)
    bob.unmute(ada)


def prompt_removal(ada, bob, cleo):
    """P3: acknowledged, and the next read shows none of it."""
    ada.follow(bob)
    ada.follow(cleo)
    post, echoed = bob.post("from bob"), cleo.post("from cleo")
    repost = bob.repost(echoed)
    answer = bob.reply(echoed, "bob to cleo")
    wanted = {post.id, repost, answer.id, echoed.id}
    check("posts, reposts and replies among those followed arrive", eventually(lambda: wanted <= set(ada.home_ids())))
    ada.mute(cleo)
    left = set(ada.home_ids()) & wanted
    check("a mute hides posts, reposts of and replies to the muted at once", left == {post.id}, left)
    ada.unmute(cleo)
    check("and unmuting brings them back", wanted <= set(ada.home_ids()), ada.home_ids())
    ada.unfollow(cleo)
    left = set(ada.home_ids()) & wanted
    check("unfollowing hides posts and replies to them; a repost by a friend stays", left == {post.id, repost}, left)
    ada.unfollow(bob)
    check("nothing is left after the last", not set(ada.home_ids()) & wanted)


def blocks(ada, bob):
    bob.follow(ada)
    ada.follow(bob)
    of_ada, of_bob = ada.post("ada's"), bob.post("bob's")
    check("they see one another", of_bob.id in ada.home_ids() and of_ada.id in bob.home_ids())
    ada.block(bob)
    for who, other, post in ((ada, bob, of_bob), (bob, ada, of_ada)):
        side = "who blocked" if who is ada else "who is blocked"
        check(f"{side} sees nothing at home", post.id not in who.home_ids())
        fails_with(f"{side} cannot follow", DENIED, lambda w=who, o=other: w.follow(o))
        fails_with(f"{side} cannot read the other's timeline", DENIED, lambda w=who, o=other: w.timeline_of(o))
        fails_with(f"{side} cannot read a post", NOT_FOUND, lambda w=who, p=post: w.get(p.id))
        fails_with(f"{side} cannot read a thread", NOT_FOUND, lambda w=who, p=post: w.thread(p))
        fails_with(f"{side} cannot reply", NOT_FOUND, lambda w=who, p=post: w.reply(p, "x"), "reply_to_id")
        fails_with(f"{side} cannot like", NOT_FOUND, lambda w=who, p=post: w.like(p))
        fails_with(f"{side} cannot repost", NOT_FOUND, lambda w=who, p=post: w.repost(p))
        for method, request in ((who.posts.ListReplies, posts.ListRepliesRequest),
                                (who.posts.ListLikes, posts.ListLikesRequest),
                                (who.posts.ListReposts, posts.ListRepostsRequest),
                                (who.posts.ListEdits, posts.ListEditsRequest)):
            fails_with(f"{side} cannot use {request.__name__}", NOT_FOUND,
                       lambda m=method, r=request, w=who, p=post: m(r(post_id=p.id), **w.me))
        for name, call in (("edit", lambda w=who, p=post: w.edit(p, "x")), ("delete", lambda w=who, p=post: w.delete(p))):
            fails_with(f"{side} cannot {name} a post", NOT_FOUND, call, "post_id")
        check(f"{side} follows no more", not who.standing(other).followed_by_viewer)
    for request, method in ((graph.ListFollowersRequest, bob.graph.ListFollowers),
                            (graph.ListFollowingRequest, bob.graph.ListFollowing)):
        fails_with(f"who is blocked cannot use {request.__name__}", DENIED,
                   lambda m=method, r=request: m(r(account_id=ada.id), **bob.me))
    check("who is blocked is not told so", not bob.standing(ada).blocked_by_viewer)
    ada.unblock(bob)
    ada.unblock(bob)
    check("unblocking brings no follow back", not ada.standing(bob).followed_by_viewer)
    check("but posts can be read again", bob.get(of_ada.id).id == of_ada.id)


def blocked_in_lists(ada, bob, cleo):
    post = cleo.post("everybody likes this")
    for who in (ada, bob):
        who.follow(cleo)
        who.like(post)
        who.repost(post)
    reply = bob.reply(post, "bob's reply")
    ada.block(bob)
    names = lambda reply: [a.id for a in reply.accounts]  # noqa: E731
    seen = names(ada.posts.ListLikes(posts.ListLikesRequest(post_id=post.id), **ada.me))
    check("a blocked account is not among those who like", seen == [ada.id], seen)
    seen = names(ada.posts.ListReposts(posts.ListRepostsRequest(post_id=post.id), **ada.me))
    check("nor among those who reposted", seen == [ada.id], seen)
    seen = names(ada.graph.ListFollowers(graph.ListFollowersRequest(account_id=cleo.id), **ada.me))
    check("nor among the followers of a third", bob.id not in seen and ada.id in seen, seen)
    check("nor do their replies show", reply.id not in [p.id for p in ada.thread(post).replies])
    ada.unblock(bob)


# --- posts --------------------------------------------------------------------------------------------------------
def idempotency(ada, bob):
    first = ada.post("once", idempotency_key="k1")
    check("the same key and text give the same post", ada.post("once", idempotency_key="k1").id == first.id)
    fails_with("the same key with another text is refused", FAILED,
               lambda: ada.post("twice", idempotency_key="k1"), "idempotency_key")
    check("another account's key is another key", bob.post("once", idempotency_key="k1").id != first.id)
    ada.edit(first, "once, edited")
    check("a retry after an edit finds the post", ada.post("once", idempotency_key="k1").id == first.id)
    fails_with("the edited text is not what the key was used for", FAILED,
               lambda: ada.post("once, edited", idempotency_key="k1"), "idempotency_key")
    parent = bob.post("parent")
    reply = ada.reply(parent, "a reply", idempotency_key="k2")
    fails_with("the same text elsewhere is another post", FAILED,
               lambda: ada.post("a reply", idempotency_key="k2"), "idempotency_key")
    bob.delete(parent)
    check("a retry finds the reply after its parent has gone",
          ada.reply(parent, "a reply", idempotency_key="k2").id == reply.id)
    fails_with("without the key there is nothing to reply to", NOT_FOUND, lambda: ada.reply(parent, "a reply"),
               "reply_to_id")
    ada.delete(reply)
    fails_with("a key whose post was deleted says so", NOT_FOUND,
               lambda: ada.reply(parent, "a reply", idempotency_key="k2"), "idempotency_key")
    fails_with("a key of 65 bytes is too long", INVALID, lambda: ada.post("x", idempotency_key="k" * 65),
               "idempotency_key")
    found, barrier = [], threading.Barrier(8)

    def racer():
        barrier.wait()
        found.append(ada.post("raced", idempotency_key="k3").id)
    threads = [threading.Thread(target=racer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("eight at once make one post", len(found) == 8 and len(set(found)) == 1, found)


def threads(ada, bob, cleo):
    root = ada.post("root")
    chain = [root]
    for i in range(4):
        chain.append((bob if i % 2 == 0 else ada).reply(chain[-1], f"level {i}"))
    others = [cleo.reply(root, f"other {i}") for i in range(5)]
    seen = cleo.thread(chain[3])
    check("a thread shows what is above, oldest first", [p.id for p in seen.ancestors] == [p.id for p in chain[:3]], seen)
    check("and what is below", [p.id for p in seen.replies] == [chain[4].id], seen)
    check("all of one thread", {p.thread_id for p in seen.ancestors} == {root.id})
    bob.delete(chain[1])
    seen = cleo.thread(chain[3])
    check("a deleted one is a tombstone, not the end", [(p.id, p.deleted) for p in seen.ancestors] ==
          [(root.id, False), (chain[1].id, True), (chain[2].id, False)], seen)
    first = ada.thread(root, size=2)
    check("direct replies come oldest first", [p.id for p in first.replies] == [chain[1].id, others[0].id], first)
    rest = ada.posts.ListReplies(posts.ListRepliesRequest(post_id=root.id, page_size=100,
                                                          page_token=first.next_page_token), **ada.me)
    check("and go on with ListReplies", [p.id for p in rest.posts] == [p.id for p in others[1:]], rest)
    check("replies are counted", eventually(lambda: ada.get(root.id).reply_count in (5, 6)))


def taken_back(ada, bob):
    """P3 for reposts, whatever the gateway has read of them."""
    post = ada.post("reposted and taken back")
    shown = []
    for _ in range(10):
        repost = bob.repost(post)
        shown.append(repost in bob.home_ids() and repost in bob.timeline_of(bob))
        reply = bob.posts.Unrepost(posts.UnrepostRequest(post_id=post.id), **bob.me)
        shown.append(repost not in bob.home_ids() and repost not in bob.timeline_of(bob))
    check("a repost is there at once, and gone at once", all(shown), shown)
    check("taking it back is answered, and so is taking back what is gone",
          reply == posts.UnrepostResponse() == bob.posts.Unrepost(posts.UnrepostRequest(post_id=post.id), **bob.me), reply)


def edits(ada, bob):
    post = ada.post("version 0")
    for i in range(1, 6):
        ada.edit(post, f"version {i}")
    ada.edit(post, "version 5")
    seen = bob.get(post.id)
    check("an edit is what others read", seen.text == "version 5" and seen.edit_count == 5, seen)
    texts = read_all(lambda token: bob.posts.ListEdits(
        posts.ListEditsRequest(post_id=post.id, page_size=2, page_token=token), **bob.me), lambda r: r.edits)
    check("its history is kept, newest first", [e.text for e in texts] == [f"version {i}" for i in (4, 3, 2, 1, 0)], texts)
    fails_with("nobody else can edit", DENIED, lambda: bob.edit(post, "mine"))
    fails_with("nobody else can delete", DENIED, lambda: bob.delete(post))
    ada.delete(post)
    ada.delete(post)
    for name, call in (("edit", lambda: ada.edit(post, "x")), ("read", lambda: bob.get(post.id)),
                       ("like", lambda: bob.like(post)), ("repost", lambda: bob.repost(post)),
                       ("thread", lambda: bob.thread(post))):
        fails_with(f"a deleted post cannot be found: {name}", NOT_FOUND, call, "post_id")


# --- lists --------------------------------------------------------------------------------------------------------
def read_all(page, items):
    """All items of a list, page by page; and the checks that hold for every list."""
    found, token, sizes = [], "", []
    while True:
        reply = page(token)
        found += items(reply)
        sizes.append(len(items(reply)))
        token = reply.next_page_token
        if not token:
            break
    read_all.full = all(size == sizes[0] for size in sizes[:-1])
    return found


def lists(ada, bob, cleo):
    fans = people.named(*(f"fan{i}" for i in range(7)))
    post = ada.post("liked by all")
    mine = []
    for fan in fans:
        fan.follow(ada)
        ada.follow(fan)
        fan.like(post)
        fan.repost(post)
        mine.append(fan.reply(post, "me too").id)
        for i in range(3):
            mine.append(fan.post(f"{fan.handle} {i}").id)
    sessions = [bob.token] + [bob.login() for _ in range(6)]
    ids = lambda reply: [a.id for a in reply.accounts]  # noqa: E731
    backwards = [fan.id for fan in reversed(fans)]
    cases = {
        "ListFollowers": (lambda t: bob.graph.ListFollowers(graph.ListFollowersRequest(
            account_id=ada.id, page_size=3, page_token=t), **bob.me), ids, backwards),
        "ListFollowing": (lambda t: bob.graph.ListFollowing(graph.ListFollowingRequest(
            account_id=ada.id, page_size=3, page_token=t), **bob.me), ids, backwards),
        "ListLikes": (lambda t: bob.posts.ListLikes(posts.ListLikesRequest(
            post_id=post.id, page_size=3, page_token=t), **bob.me), ids, backwards),
        "ListReposts": (lambda t: bob.posts.ListReposts(posts.ListRepostsRequest(
            post_id=post.id, page_size=3, page_token=t), **bob.me), ids, backwards),
        "ListReplies": (lambda t: bob.posts.ListReplies(posts.ListRepliesRequest(
            post_id=post.id, page_size=3, page_token=t), **bob.me), lambda r: [p.id for p in r.posts], sorted(mine[::4])),
        "GetUserTimeline": (lambda t: bob.timelines.GetUserTimeline(tl.GetUserTimelineRequest(
            account_id=fans[0].id, page_size=2, page_token=t), **bob.me), lambda r: [i.id for i in r.items], None),
        "GetHomeTimeline": (lambda t: ada.home(5, t), lambda r: [i.id for i in r.items], None),
        "ListSessions": (lambda t: bob.accounts.ListSessions(acc.ListSessionsRequest(page_size=3, page_token=t),
                                                             **bob.me), lambda r: [s.id for s in r.sessions], None),
    }
    check("the home timeline is whole", eventually(lambda: set(mine) <= set(ada.home_ids())))
    everything = ada.home_ids()
    for name, (page, items, wanted) in cases.items():
        first = page("")
        if name == "GetHomeTimeline":
            bob_post = fans[0].post("new while somebody pages")
            check("the new post is there", eventually(lambda: bob_post.id in ada.home_ids()))
            rest = read_all(lambda t, f=first: page(t or f.next_page_token), items)
            found, wanted = items(first) + rest, everything
        else:
            found = read_all(page, items)
        if name == "GetUserTimeline":
            wanted = bob.timeline_of(fans[0])
        if name == "ListSessions":
            wanted = sorted(found, reverse=True)
            check("every session is listed", len(found) == len(sessions), found)
        check(f"{name}: complete, in order, each once", found == wanted and len(set(found)) == len(found),
              (found, wanted))
        check(f"{name}: only the last page is short", read_all.full)
        fails_with(f"{name}: a token that was altered is refused", INVALID,
                   lambda p=page, f=first: p(f.next_page_token[:-4] + "AAAA"), "page_token")
    token = cases["ListFollowers"][0]("").next_page_token
    fails_with("a token of another list is refused", INVALID, lambda: cases["ListFollowing"][0](token), "page_token")
    fails_with("so is another viewer's", INVALID, lambda: cleo.graph.ListFollowers(
        graph.ListFollowersRequest(account_id=ada.id, page_size=3, page_token=token), **cleo.me), "page_token")
    for size in (-1, 101):
        fails_with(f"a page of {size} is refused", INVALID, lambda s=size: ada.home(s), "page_size")


# --- sessions -----------------------------------------------------------------------------------------------------
def refused_soon(person):
    def refused():
        try:
            person.home()
            return False
        except grpc.RpcError as error:
            return error.code() == UNAUTHENTICATED
    return eventually(refused)


def sessions(ada, bob):
    ada.with_token(ada.login()).home()
    other = ada.with_token(ada.login())
    other.home()
    listed = ada.accounts.ListSessions(acc.ListSessionsRequest(), **ada.me).sessions
    check("the current session is marked", [s.current for s in listed].count(True) == 1)
    fails_with("another account's session is not found", NOT_FOUND, lambda: bob.accounts.RevokeSession(
        acc.RevokeSessionRequest(session_id=listed[0].id), **bob.me), "session_id")
    check("and goes on", other.home() is not None)
    ada.accounts.RevokeSession(acc.RevokeSessionRequest(session_id=listed[0].id), **ada.me)
    ada.accounts.RevokeSession(acc.RevokeSessionRequest(session_id=listed[0].id), **ada.me)
    check("a revoked session is over", refused_soon(other))
    third = ada.with_token(ada.login())
    fails_with("the current password must be right", DENIED, lambda: ada.accounts.ChangePassword(
        acc.ChangePasswordRequest(current_password="not this one", new_password="another password"), **ada.me),
        "current_password")
    ada.accounts.ChangePassword(acc.ChangePasswordRequest(current_password=ada.password,
                                                          new_password="another password"), **ada.me)
    check("changing the password ends the others", refused_soon(third))
    check("and not the one that changed it", ada.home() is not None)
    fails_with("the old password is worth nothing", UNAUTHENTICATED, ada.login)
    ada.password = "another password"
    check("the new one is", ada.login() != "")


# --- P7, for every method -----------------------------------------------------------------------------------------
PUBLIC = {"Register", "Login"}


def every_method():
    """(path, is the request a stream, is the reply), of every service in the contract."""
    for module in (acc, graph, job_pb2, posts, tl):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for service in file.service:
            for method in service.method:
                yield f"/rookery.v1.{service.name}/{method.name}", method.client_streaming, method.server_streaming


def call_empty(path, streams_in, streams_out, metadata):
    kind = ("stream" if streams_in else "unary") + "_" + ("stream" if streams_out else "unary")
    call = getattr(channel, kind)(path, request_serializer=bytes, response_deserializer=bytes)
    return call(iter([b""]) if streams_in else b"", metadata=metadata, timeout=60)


def refusal(method, metadata):
    try:
        reply = call_empty(*method, metadata)
        return list(reply) if method[2] else reply
    except grpc.RpcError as error:
        return error.code()


def strangers():
    """Some of the contract may not be served yet: that gives nothing away either."""
    methods = [m for m in every_method() if m[0].rsplit("/", 1)[1] not in PUBLIC]
    served = 0
    for method in methods:
        for name, metadata in (("no token", ()), ("a token of nobody's", (("authorization", "Bearer " + "x" * 43),)),
                               ("another scheme", (("authorization", "Basic dXNlcjpwYXNz"),))):
            code = refusal(method, metadata)
            served += code == UNAUTHENTICATED
            check(f"{method[0]} with {name}", code in (UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED), code)
    check("most of the contract is served", served > 90, served)


ada, bob, cleo = people.named("ada", "bob", "cleo")
relations(ada, bob)
prompt_removal(ada, bob, cleo)
blocks(ada, bob)
blocked_in_lists(ada, bob, cleo)
idempotency(ada, bob)
threads(ada, bob, cleo)
taken_back(ada, bob)
edits(ada, bob)
lists(*people.named("lena", "max", "nora"))
sessions(ada, bob)
strangers()
done_testing()

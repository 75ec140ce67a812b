#!/usr/bin/python3
"""What a gateway does when something is wrong around it: live feeds through restarts and with clients that do not read,
Redis away, PostgreSQL away, lists rebuilt while posts arrive, authors whose posts are merged. Prints TAP. Starts servers
and daemons of its own."""
import http.client
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from own_stack import Stack  # noqa: E402
from callers import connect, Feed, People  # noqa: E402
from jobs import Jobs, linear  # noqa: E402
from rookery.v1 import account_pb2 as acc, job_pb2 as jp, job_pb2_grpc  # noqa: E402
from tap import check, done_testing, eventually, fails_with  # noqa: E402

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def address(stack):
    return "%s:%d" % stack.address


def start_again(stack):
    port = stack.address[1]
    stack.start("gateway-1", "rookery-gateway", ROOKERY_LISTEN=f"127.0.0.1:{port}",
                ROOKERY_METRICS_LISTEN="%s:%d" % stack.metrics_address)
    stack.sh(f"daemon_wait gateway-1 http_is_ok 127.0.0.1 {port} /readyz")


def item(post_id):
    return lambda message: message.item.id == post_id


def gone(entry_id):
    return lambda message: message.deleted_id == entry_id


# --- live feeds ---------------------------------------------------------------------------------------------------
def reposts_live(ada, bob, cleo):
    """cleo follows bob, not ada: what happens to ada's post that bob reposted concerns her."""
    cleo.follow(bob)
    feed = Feed(cleo)
    post = ada.post("to be reposted")
    repost = bob.repost(post)
    shown = feed.wait("item", item(repost))
    check("a repost comes live, with the original", shown and shown.item.post.id == post.id, shown)
    ada.edit(post, "to be reposted, edited")
    edited = feed.wait("edited", lambda m: m.edited.id == post.id)
    check("an edit of the original reaches the reposter's followers", edited and edited.edited.text.endswith("edited"))
    second = ada.post("reposted and taken back")
    taken_back = bob.repost(second)
    check("another repost", feed.wait("item", item(taken_back)))
    bob.unrepost(second)
    check("taking a repost back reaches them", feed.wait("deleted_id", gone(taken_back)))
    ada.delete(post)
    check("deleting the original reaches them, too", feed.wait("deleted_id", gone(post.id)))
    feed.close()


def sessions_live(ada):
    other = ada.with_token(ada.login())
    feed = Feed(other)
    ids = [s.id for s in ada.accounts.ListSessions(acc.ListSessionsRequest(), **ada.me).sessions if not s.current]
    for session_id in ids:
        ada.accounts.RevokeSession(acc.RevokeSessionRequest(session_id=session_id), **ada.me)
    later = ada.post("behind the end of the session")  # an event of the same account: heard behind that end
    shown = feed.wait("item", lambda message: message.item.id == later.id)
    check("a stream ends with its session", feed.ended.wait(60) and feed.code == grpc.StatusCode.UNAUTHENTICATED,
          (feed.code, feed.details))
    check("when that is heard: what comes behind it is not shown", shown is None, shown)


def watching_live(stack, ada):
    """No worker runs, so the job stays as it is."""
    jobs = object.__new__(Jobs)
    jobs.me, jobs.stub = ada.with_token(ada.login()).me, job_pb2_grpc.JobServiceStub(ada.channel)
    dataset = jobs.upload(b"x,y\n" + b"".join(b"%d,%d\n" % (i, i * i % 7) for i in range(20)), "to be watched")
    stack.stop("worker-1")
    job = jobs.create(dataset, linear("y", ["x"]))
    watched = jobs.stub.WatchJob(jp.WatchJobRequest(job_id=job.id), metadata=jobs.me["metadata"], timeout=60)
    next(watched)
    for session in ada.accounts.ListSessions(acc.ListSessionsRequest(), **ada.me).sessions:
        if not session.current:
            ada.accounts.RevokeSession(acc.RevokeSessionRequest(session_id=session.id), **ada.me)
    fails_with("watching a job ends with the session", grpc.StatusCode.UNAUTHENTICATED, lambda: list(watched))
    stack.worker("worker-1")


def seen_up_to_now(feed, author):
    """The items up to one that is posted now, or after a reset."""
    seen, last = [], author.post("marker").id
    while last not in seen:
        message = feed.wait(("item", "reset"))
        if message is None:
            break
        if message.WhichOneof("event") == "item":
            seen.append(message.item.id)
        else:
            last = author.post("marker after a reset").id
    return seen


def relations_live(ada, bob):
    """A block that is committed while the stream is being opened must hold for the stream."""
    for round_number in range(10):
        ada.follow(bob)
        opened = []
        thread = threading.Thread(target=lambda: opened.append(Feed(ada)))
        thread.start()
        ada.unfollow(bob)
        thread.join()
        hidden = bob.post(f"hidden {round_number}")
        seen = seen_up_to_now(opened[0], ada)
        opened[0].close()
        if hidden.id in seen:
            check("nothing of those unfollowed while the stream opened", False, (round_number, seen))
            return
    check("nothing of those unfollowed while the stream opened", True)


def resume(stack, ada, bob):
    bob.follow(ada)
    feed = Feed(bob)
    first = ada.post("before")
    check("a post comes live", feed.wait("item", item(first.id)))
    missed = [ada.post(f"just before the end {i}") for i in range(3)]
    check("the gateway stops with 0", stack.stop("gateway-1") == 0)
    check("its streams are told to come again", feed.ended.wait(60) and feed.code == UNAVAILABLE, feed.code)
    start_again(stack)
    missed += [ada.post(f"while away {i}") for i in range(3)]
    again = Feed(bob, token=feed.token)
    seen = []
    last = ada.post("after")
    again.wait("item", lambda m, s=seen: s.append(m.item.id) or m.item.id == last.id)
    check("a resumed stream brings what was missed, oldest first",
          [i for i in seen if i in {p.id for p in missed}] == [p.id for p in missed], seen)
    again.close()


def resume_undelivered(stack, ada, bob):
    """Committed and not delivered (no worker): the stream is brought it from SQL all the same."""
    feed = Feed(bob)
    marker = ada.post("marker")
    feed.wait("item", item(marker.id))
    token = feed.token
    feed.close()
    stack.stop("worker-1")
    post = ada.post("nobody delivers this")
    again = Feed(bob, token=token)
    check("a resumed stream brings what was not delivered yet", again.wait("item", item(post.id)))
    again.close()
    stack.worker("worker-1")


def slow_reader(stack, ada, bob):
    """A client that does not read is ended, not waited for; others are not held up."""
    small = [("grpc.http2.lookahead_bytes", 4096), ("grpc.http2.bdp_probe", 0)]
    channel = grpc.insecure_channel(address(stack), options=small)
    slow = Feed(bob.at(channel), read=False)
    prompt = Feed(bob)
    big = "long words " * 45
    last = None
    dropped = "rookery_live_dropped_total"
    for i in range(3000):
        last = ada.post(f"{i} {big}")
        if i % 100 == 0 and metric(stack, dropped) > 0:
            break
    check("a stream that is not read is ended", eventually(lambda: metric(stack, dropped) > 0))
    check("others got everything meanwhile", prompt.wait("item", item(last.id)))
    slow.start()
    check("it is told to resume", slow.ended.wait(60) and slow.code == grpc.StatusCode.RESOURCE_EXHAUSTED,
          (slow.code, slow.details))
    read = []
    while not slow.messages.empty():
        read.append(slow.messages.get())
    check("with a token", read and read[-1].resume_token, len(read))
    prompt.close()
    channel.close()


def metric(stack, name):
    connection = http.client.HTTPConnection(*stack.metrics_address, timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


# --- lists --------------------------------------------------------------------------------------------------------
def rebuild_while_posting(stack, ada, bob):
    """Lists are dropped and built again, over and over, while posts are delivered: none is lost, none is double."""
    epoch = stack.sql("SELECT max(epoch) FROM redis_epochs")
    made, done = [], threading.Event()

    def poster():
        for i in range(150):
            made.append(ada.post(f"stream {i}").id)
        done.set()
    thread = threading.Thread(target=poster)
    thread.start()
    doubles = 0
    while not done.is_set():
        stack.redis("DEL", f"tl:{epoch}:{{{bob.id}}}")
        seen = bob.home_ids()
        doubles += len(seen) != len(set(seen))
    thread.join()
    wanted = sorted(made, reverse=True)[:100]
    check("a list rebuilt amid deliveries never shows an entry twice", doubles == 0, doubles)
    check("and loses none", eventually(lambda: [i for i in bob.home_ids() if i in set(made)] == wanted),
          len(set(wanted) & set(bob.home_ids())))


def pulled(stack, ada, bob, cleo):
    """An author whose posts are not delivered but merged."""
    stack.sql(f"UPDATE account_stats SET pulled = true WHERE account_id = {ada.id}")
    stack.stop("gateway-1")
    start_again(stack)
    bob.follow(ada)
    bob.follow(cleo)
    eventually(lambda: stack.settled("events", "fanout"))  # or his list is dropped later, and rebuilt with all
    bob.home()
    bob.home()
    mine = [(ada if i % 2 else cleo).post(f"merged {i}").id for i in range(10)]
    check("a pulled author's posts are merged in order",
          eventually(lambda: bob.home_ids()[:10] == sorted(mine, reverse=True)), bob.home_ids()[:10])
    raw = stack.timeline(bob)
    check("they are not in the list", not {str(i) for i in mine[1::2]} & {e.lstrip("-") for e in raw}, raw[-12:])
    first = bob.home(4)
    rest = bob.home(4, first.next_page_token)
    check("pages go on across both", [i.id for i in first.items] + [i.id for i in rest.items] ==
          sorted(mine, reverse=True)[:8])
    bob.unfollow(ada)
    check("and follow the relations", not set(mine[1::2]) & set(bob.home_ids()))
    stack.sql(f"UPDATE account_stats SET pulled = false WHERE account_id = {ada.id}")


# --- servers away -------------------------------------------------------------------------------------------------
def changes_of(dan, ada, bob, before):
    """{what: call} of all that promises something about the next read, but for logging out; each may be repeated."""
    taken_back, edited, deleted_post = ada.post("reposted once"), dan.post("a first version"), dan.post("for a moment")
    dan.repost(taken_back)
    dan.login()
    other, = (s.id for s in dan.accounts.ListSessions(acc.ListSessionsRequest(), **dan.me).sessions if not s.current)
    return {
        "a follow": lambda: dan.follow(ada),
        "an unfollow": lambda: dan.unfollow(ada),
        "a block": lambda: dan.block(bob),
        "an unblock": lambda: dan.unblock(bob),
        "a mute": lambda: dan.mute(ada),
        "an unmute": lambda: dan.unmute(ada),
        "a like": lambda: dan.like(before),
        "a repost": lambda: dan.repost(before),
        "a repost taken back": lambda: dan.unrepost(taken_back),
        "an edit": lambda: dan.edit(edited, "a second version"),
        "a delete": lambda: dan.delete(deleted_post),
        "the end of a session": lambda: dan.accounts.RevokeSession(acc.RevokeSessionRequest(session_id=other), **dan.me),
    }


def redis_away(stack, ada, bob, dan):
    bob.follow(ada)
    before = ada.post("before Redis went")
    bob.home()
    changes, leaving = changes_of(dan, ada, bob, before), dan.with_token(dan.login())
    stack.sh('stop_process "$DATA/run/redis.pid" KILL 10')
    post = ada.post("while Redis is away")
    check("writes commit without Redis", post.id > before.id)
    check("reads come from SQL, and hold what was just written", post.id in bob.home_ids() and post.id in ada.home_ids())
    fails_with("what others must hear of before it is acknowledged is UNAVAILABLE", UNAVAILABLE, lambda: ada.delete(post))
    check("but done: nothing shows it any more", post.id not in bob.home_ids())
    for what, change in changes.items():
        fails_with(f"so is {what}", UNAVAILABLE, change)
    fails_with("so is logging out", UNAVAILABLE, lambda: leaving.accounts.Logout(acc.LogoutRequest(), **leaving.me))
    stack.sh("redis_start redis")
    later = ada.post("after Redis came back")
    check("deliveries go on", eventually(lambda: later.id in bob.home_ids()))
    check("a retry of the delete is acknowledged", eventually(lambda: done(lambda: ada.delete(post))))
    undone = [what for what, change in changes.items() if not eventually(lambda c=change: done(c))]
    check("and of all the others", not undone, undone)
    check("nothing that was posted meanwhile is missing", before.id in bob.home_ids() and later.id in bob.home_ids())


def done(call):
    try:
        call()
        return True
    except grpc.RpcError:
        return False


def read_for_a_while(person, known, since):
    """Reads for 5 of the 10 s in which a home timeline that is known is read without PostgreSQL. What is wrong with the answers;
    one that took so long that it may have been asked too late says nothing."""
    wrong = []
    while time.monotonic() < since + 5:
        try:
            seen = person.home_ids()
        except grpc.RpcError as error:
            seen = error
        if seen != known and time.monotonic() < since + 8:
            wrong.append(f"after {time.monotonic() - since:.1f} s: {seen}")
        time.sleep(0.1)
    return wrong


def nothing_is_under_way(stack):
    told = stack.sql("SELECT (SELECT bool_and(republished) FROM redis_epochs)"
                     " AND NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)")
    return told == "t" and stack.settled("events", "fanout")


def postgres_away(stack, ada, bob):
    bob.follow(ada)
    check("lists stay as they are", eventually(lambda: nothing_is_under_way(stack)))
    bob = bob.with_token(bob.login())  # sessions and posts are known for as long as caches keep them: new ones
    kept = ada.post("before PostgreSQL went")
    check("a home timeline is known", eventually(lambda: bob.home_ids() == [kept.id]))
    known, since = bob.home_ids(), time.monotonic()
    stack.sh('stop_process "$DATA/run/postgres.pid" KILL 10; postgres_after_crash')
    wrong = read_for_a_while(bob, known, since)
    check("home timelines are read from Redis and caches", not wrong, "\n".join(wrong))
    try:
        ada.post("while PostgreSQL is away")
        check("a write without PostgreSQL is UNAVAILABLE", False)
    except grpc.RpcError as error:
        check("a write without PostgreSQL is UNAVAILABLE", error.code() == UNAVAILABLE, (error.code(), error.details()))
    connection = http.client.HTTPConnection(*stack.address, timeout=60)
    connection.request("GET", "/readyz")
    check("the gateway says that it is not ready", connection.getresponse().status == 503)
    connection.close()
    stack.sh("postgres_start")
    check("it recovers by itself", eventually(lambda: posted(ada)))
    check("and has what was acknowledged", ada.get(kept.id).id == kept.id)


def posted(person):
    try:
        return person.post("after PostgreSQL came back").id > 0
    except grpc.RpcError:
        return False


with Stack() as stack:
    stack.gateway()
    stack.worker("worker-1")
    people = People(connect(address(stack)))
    ada, bob, cleo = people.named("ada", "bob", "cleo")
    reposts_live(ada, bob, cleo)
    sessions_live(ada)
    watching_live(stack, ada)
    relations_live(*people.named("anna", "ben"))
    resume(stack, ada, bob)
    resume_undelivered(stack, ada, bob)
    slow_reader(stack, ada, bob)
    rebuild_while_posting(stack, ada, bob)
    pulled(stack, *people.named("pia", "quinn", "rosa"))
    redis_away(stack, ada, bob, *people.named("dan"))
    postgres_away(stack, *people.named("erin", "finn"))
done_testing()

#!/usr/bin/python3
"""Strangers who send what no client would: for seconds on end, over HTTP/1.1 and HTTP/2, frames cut short, lengths that are
lies, bad JSON, bad protobuf, methods and metadata that do not exist. The gateway goes on, its memory stays what it was, and
somebody honest notices nothing. The same seed gives the same bytes. Prints TAP."""
import os
import random
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from callers import connect, People  # noqa: E402
from frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST, SETTINGS, WINDOW,  # noqa: E402
                    fields, frame)
from tap import check, done_testing, eventually  # noqa: E402

ADDRESS = os.environ["ROOKERY_GATEWAY"].rsplit(":", 1)
SEED = int(os.environ.get("SEED", "20240601"))
ROUNDS = 15
GROWTH_KIB = 48 * 1024
random.seed(SEED)


# --- frames -------------------------------------------------------------------------------------------------------
def call(path, token="", *more):
    head = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
            ("content-type", "application/grpc"), ("te", "trailers")]
    return fields(*head, *([("authorization", "Bearer " + token)] if token else []), *more)


def message(payload, length=None, flag=0):
    return struct.pack(">BI", flag, len(payload) if length is None else length) + payload


def noise(size):
    return bytes(random.getrandbits(8) for _ in range(size))


def h2(*frames):
    return PREFACE + frame(SETTINGS, 0, 0) + b"".join(frames)


def one_call(path, body, token="", *more):
    return h2(frame(HEADERS, END_HEADERS, 1, call(path, token, *more)), frame(DATA, END_STREAM, 1, body))


def h1(body, path="/rookery.v1.PostService/CreatePost", kind="application/json", length=None, more=""):
    body = body if isinstance(body, bytes) else body.encode()
    size = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n{more}\r\n".encode() + body


# --- what strangers send ------------------------------------------------------------------------------------------
METHODS = [f"/rookery.v1.{s}/{m}" for s, m in (
    ("AccountService", "Register"), ("AccountService", "Login"), ("AccountService", "GetAccount"),
    ("PostService", "CreatePost"), ("PostService", "GetThread"), ("PostService", "ListReplies"),
    ("GraphService", "Follow"), ("GraphService", "ListFollowers"), ("TimelineService", "GetHomeTimeline"),
    ("TimelineService", "StreamHomeTimeline"), ("Nobody", "Knows"), ("PostService", "Nothing"), ("", ""))]


def bad_http2(token):
    some = random.choice(METHODS)
    whole = one_call(some, message(b""), token)
    yield noise(random.randrange(1, 600))
    yield PREFACE[:random.randrange(1, len(PREFACE))]
    yield whole[:random.randrange(len(PREFACE), len(whole))]
    yield h2(frame(HEADERS, END_HEADERS, 1, noise(60)))
    yield h2(frame(HEADERS, END_HEADERS, 2, call(some)))
    yield h2(frame(HEADERS, 0, 1, call(some)), *(frame(CONTINUATION, 0, 1, fields(("x", "y" * 1000))) for _ in range(30)))
    yield h2(frame(HEADERS, END_HEADERS, 1, call(some, token, ("x-big", "y" * 60000))))
    yield h2(frame(DATA, 0, 1, noise(20)))
    yield h2(frame(DATA, 0, 0, noise(20)), frame(SETTINGS, 0, 0, noise(7)))
    yield h2(frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF)), frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF)))
    yield h2(frame(DATA, 0, 1, b"", length=0xFFFFFF))
    yield h2(*(frame(PING, 0, 0, bytes(8)) for _ in range(3000)))
    yield h2(*(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 1)) for _ in range(500)))
    yield h2(*(f for i in range(1, 1200, 2) for f in (frame(HEADERS, END_HEADERS, i, call(some, token)),
                                                      frame(RST, 0, i, struct.pack(">I", 8)))))
    yield h2(*(frame(random.randrange(10, 255), random.randrange(256), random.randrange(8), noise(30)) for _ in range(50)))


def bad_grpc(token):
    for path in METHODS:
        yield one_call(path, message(noise(random.randrange(1, 400))), token)
        yield one_call(path, message(b"\x0a\xff\xff\xff\xff\x0f"), token)
    some = random.choice(METHODS)
    yield one_call(some, message(b"abc", length=0xFFFFFFFF), token)
    yield one_call(some, message(b"abc", length=2_000_000), token)
    yield one_call(some, message(b"abc", length=10), token)
    yield one_call(some, message(b"abc", flag=1), token)
    yield one_call(some, message(b"abc", flag=77), token)
    yield one_call(some, message(b"") * 3, token)
    yield one_call(some, b"", token)
    yield one_call(some, message(b"\x0b" * 5000), token)
    yield one_call(some, message(b"\x0a\x02\x0a\x00" * 70000), token)
    for name, value in (("grpc-timeout", "soon"), ("grpc-timeout", "99999999999999H"), ("grpc-timeout", "0n"),
                        ("grpc-encoding", "gzip"), ("x-bin", "***"), ("authorization", "Bearer"),
                        ("authorization", "Bearer " + "y" * 5000), ("te", "gzip"), ("connection", "close"), ("", "x"),
                        ("Upper", "x"), ("x", b"\x00\x01")):
        yield one_call(some, message(b""), token, (name, value))


def bad_http1(token):
    auth = f"authorization: Bearer {token}\r\n"
    for body in ("", "{", "[]", "nul", '{"text": 1}', '{"text": "\\ud800"}', '{"text": "a", "text": "b"}', "[" * 20000,
                 '{"a":' * 20000, '{"replyToId": "9999999999999999999999"}', '{"text": "' + "x" * 300000 + '"}',
                 b'{"text": "\xff\xfe"}', b"\x00" * 50, '{"text": "\\u0000"}'):
        yield h1(body, more=auth)
    yield h1("{}", length=10**12, more=auth)
    yield h1("{}", length=-5, more=auth)
    yield h1("{}", more="transfer-encoding: chunked\r\n" + auth)
    yield h1("zz\r\n", more=auth).replace(b"content-length: 4", b"transfer-encoding: chunked")
    yield h1("FFFFFFFFFFFFFFFF\r\n", more=auth).replace(b"content-length: 18", b"transfer-encoding: chunked")
    yield h1("{}", path="/../../etc/passwd", more=auth)
    yield h1("{}", path="/" + "x" * 20000, more=auth)
    yield h1("{}", kind="text/xml", more=auth)
    yield b"GET / HTTP/9.9\r\n\r\n"
    yield b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 2000 + b"\r\n"
    yield b"\r\n" * 3000


def send(payload):
    """What the server says is read and thrown away; that it hangs up is its right."""
    with socket.socket() as s:
        s.settimeout(5)
        s.connect((ADDRESS[0], int(ADDRESS[1])))
        try:
            s.sendall(payload)
            if random.random() < 0.5:
                s.shutdown(socket.SHUT_WR)
            s.settimeout(0.01)
            while s.recv(65536):
                pass
        except OSError:
            pass


def one_round(token):
    sent = 0
    for attack in (bad_http2, bad_grpc, bad_http1):
        for payload in attack(token if random.random() < 0.7 else ""):
            send(payload)
            sent += 1
    return sent


# --- what must hold -----------------------------------------------------------------------------------------------
def gateway_pid():
    with open(f"{os.environ['ROOKERY_TEST_STACK']}/run/gateway-1.pid", encoding="ascii") as file:
        return int(file.read().split()[0])


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class Honest(threading.Thread):
    """People take turns, since one may not post as often as this goes on."""

    def __init__(self, people):
        super().__init__()
        self.people, self.calls, self.stop, self.trouble = people, 0, threading.Event(), None

    def run(self):
        while not self.stop.wait(0.01) and self.trouble is None:
            try:
                person = self.people[self.calls % len(self.people)]
                post = person.post(f"honest {self.calls}")
                if person.home(1).items[0].id != post.id:
                    self.trouble = "the newest post is not at home"
                self.calls += 1
            except Exception as error:  # noqa: BLE001  whatever it is, it is what the test is about
                self.trouble = repr(error)


*honest, stranger = People(connect()).named(*(f"honest{i}" for i in range(8)), "stranger")
pid = gateway_pid()
witness = Honest(honest)
witness.start()
one_round(stranger.token)
before = memory_kib(pid)
sent = sum(one_round(stranger.token) for _ in range(ROUNDS))
after = memory_kib(pid)
witness.stop.set()
witness.join()
print(f"# seed {SEED}: {sent} connections with nonsense; {witness.calls} honest rounds; {before} KiB before, {after} after")
check("there was nonsense enough", sent > 1000, sent)
check("the gateway is the same process", gateway_pid() == pid and os.path.exists(f"/proc/{pid}"))
check("somebody honest noticed nothing", witness.trouble is None and witness.calls > 10, (witness.calls, witness.trouble))
if "asan" in os.environ["ROOKERY_BUILD"]:
    print("# memory is not looked at: the sanitizer keeps what is freed")
else:
    check("memory stays what it was", after - before < GROWTH_KIB, (before, after))
check("the stranger, too, is served when they behave", eventually(lambda: stranger.post("sorry").id > 0))
done_testing()

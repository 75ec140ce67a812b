#!/usr/bin/python3
"""Requests that never end: of strangers for methods that anybody may call, of strangers with a wrong token or none, over
HTTP/1.1 and HTTP/2; streams that anybody may open; and the same of an account, with its token. Each holds what its sender may
hold. Honest clients go on, and memory stays bounded. Prints TAP."""
import os
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from frames import begin, data, head, message  # noqa: E402
from stack import GATEWAY  # noqa: E402,F401  this test takes the shared stack for itself
from tap import check, done_testing, eventually  # noqa: E402
from witness import Watch, register, stranger  # noqa: E402

STREAMS = 250
WINDOW = 60_000  # of a stream, less than it begins with
MEGABYTE = 1_000_000


def drain(sockets):
    """What the gateway said, together."""
    got = b""
    for s in sockets:
        s.settimeout(0.01)
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
        except OSError:
            pass
    return got


def refused(sockets, said, status, number):
    """Waits until so many of these answers have come, with those that were said before."""
    heard = [said]

    def enough():
        heard.append(drain(sockets))
        return b"".join(heard).count(status) >= number
    return eventually(enough)


def push(s, payload):
    """As much as the gateway takes; that it hangs up is its right. What it said meanwhile."""
    s.setblocking(False)
    got, end = b"", time.monotonic() + 10
    while payload and time.monotonic() < end:
        readable, writable, _ = select.select([s], [s], [], 1)
        try:
            if readable:
                got += s.recv(65536)
            if writable:
                payload = payload[s.send(payload):]
        except BlockingIOError:
            continue
        except OSError:
            break
    return got


def unfinished_http1(method, number, size, more=""):
    """The sockets, and what the gateway said while they were written to."""
    sockets, said = [], b""
    for _ in range(number):
        s = stranger()
        said += push(s, (f"POST /rookery.v1.{method} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{more}"
                         f"content-length: {size}\r\n\r\n").encode() + b" " * (size - 1))
        sockets.append(s)
    return sockets, said


def unfinished_http2(method, connections, size, token="", claimed=None):
    sockets = []
    for _ in range(connections):
        s = stranger()
        push(s, begin() + b"".join(head(1 + 2 * i, method, token) + data(1 + 2 * i, message(b" " * size, claimed))
                                   for i in range(STREAMS)))
        sockets.append(s)
    return sockets


def open_streams(path, connections):
    """Streams that anybody may open, outside rookery.v1."""
    sockets = []
    for _ in range(connections):
        s = stranger()
        push(s, begin() + b"".join(head(1 + 2 * i, path) for i in range(STREAMS)))
        sockets.append(s)
    return sockets


def close(sockets):
    for s in sockets:
        s.close()


watch = Watch()
watch.calm()
_, attacker = register("attacker")
with watch:
    kept, _ = unfinished_http1("AccountService/Login", 200, 2_000)
    large, said = unfinished_http1("AccountService/Login", 60, MEGABYTE)
    check("a stranger's large Login is refused before it ends", refused(large, said, b"HTTP/1.1 4", 1))
    kept += large
    kept += unfinished_http2("AccountService/Register", 4, 6_000, claimed=7_000)
    close(kept)
    kept = unfinished_http2("PostService/CreatePost", 8, WINDOW, claimed=MEGABYTE)
    kept += unfinished_http2("PostService/CreatePost", 8, WINDOW, token="wrong" * 8, claimed=MEGABYTE)
    close(kept)
    kept = open_streams("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 20)  # more than calls there may be
    time.sleep(1)
    close(kept)
    for token in ("", "wrong" * 8):
        more = f"authorization: Bearer {token}\r\n" if token else ""
        kept, said = unfinished_http1("PostService/CreatePost", 100, MEGABYTE, more)
        # 401, or 429 where a token is looked up slowly and the request gives way to newer ones meanwhile.
        check(f"{'a wrong' if token else 'no'} token is refused before the body", refused(kept, said, b"HTTP/1.1 4", 51))
        close(kept)
    kept = unfinished_http2("PostService/CreatePost", 8, WINDOW, token=attacker, claimed=MEGABYTE)
    close(kept)
    kept, _ = unfinished_http1("PostService/CreatePost", 100, MEGABYTE, f"authorization: Bearer {attacker}\r\n")
    close(kept)
watch.check()
done_testing()

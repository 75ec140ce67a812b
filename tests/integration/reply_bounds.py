#!/usr/bin/python3
"""Replies that nobody reads: pages of the largest posts there may be, asked for on many connections whose windows have one
byte; and a burst of such pages that is read at full speed. Honest clients are served meanwhile, and memory stays bounded; what
the attacker asked for comes when it reads. Prints TAP."""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from frames import INITIAL_WINDOW, WINDOW, begin, data, frame, head, message  # noqa: E402
from stack import GATEWAY  # noqa: E402,F401  this test takes the shared stack for itself
from tap import check, done_testing, eventually, note  # noqa: E402
from witness import Watch, ask, register, stranger  # noqa: E402

POSTS = 100
STREAMS = 200
CONNECTIONS = 12
WAIT_S = 3
# Eight bytes in UTF-8, two code points, one character: 500 of them are 4,000 bytes.
LARGE = "\U0001F44D\U0001F3FD" * 500
PAGE = message(b"\x08\x64")  # page_size = 100


def asked(token, streams, window, connections):
    sockets = []
    for _ in range(connections):
        s = stranger(receive_bytes=4096)
        calls = b"".join(head(1 + 2 * i, "TimelineService/GetHomeTimeline", token) + data(1 + 2 * i, PAGE, end=True)
                         for i in range(streams))
        s.sendall(begin((INITIAL_WINDOW, window)) + frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF - 65535)) + calls)
        sockets.append(s)
    return sockets


def read_all(s, streams):
    """The number of streams that ended well, when the gateway may send as much as it likes."""
    ended, buffer = set(), b""
    while len(ended) < streams:
        try:
            piece = s.recv(1 << 18)
        except OSError:
            break
        if not piece:
            break
        buffer += piece
        while len(buffer) >= 9:
            size = int.from_bytes(buffer[:3], "big")
            if len(buffer) < 9 + size:
                break
            kind, flags, stream = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big")
            if kind == 1 and flags & 1:
                ended.add(stream)
            buffer = buffer[9 + size:]
    return len(ended)


watch = Watch()
_, token = register("large")
for i in range(POSTS):
    status, reply = ask("PostService/CreatePost", {"text": f"{i:3}" + LARGE[6:]}, token)
    if status != 200:
        check("a large post is made", False, (status, reply))
        break
check("all of them are at home",
      eventually(lambda: len(ask("TimelineService/GetHomeTimeline", {"pageSize": 100}, token)[1].get("items", [])) == POSTS))
status, reply = ask("PostService/CreatePost", {"text": "\U0001F468\U0001F3FF\u200D\U0001F469\U0001F3FB" * 250}, token)
check("a post of more than 4,096 bytes is refused by name",
      status == 400 and reply["message"].startswith("text must be at most 4096 bytes, this has "), (status, reply))
watch.calm()
with watch:
    sockets = asked(token, STREAMS, 1, CONNECTIONS)
    time.sleep(WAIT_S)
    first = sockets[0]
    first.sendall(frame(4, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 1 << 20)))
    got = read_all(first, STREAMS)
    check("who begins to read gets every page", got == STREAMS, got)
    for s in sockets:
        s.close()
    begun = time.monotonic()
    (burst,) = asked(token, STREAMS, 1 << 20, 1)
    got = read_all(burst, STREAMS)
    note(f"a burst of {STREAMS} pages of {POSTS} large posts was read in {time.monotonic() - begun:.1f} s")
    check("a burst that is read is served whole", got == STREAMS, got)
    burst.close()
watch.check()
done_testing()

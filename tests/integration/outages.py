#!/usr/bin/python3
"""What other tests make outages with: the path that is stalled and cut (tests/lib/path.py), and what arrives, when, and
where; the clock that is stepped (tests/lib/stepclock.py). Prints TAP."""
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from path import Path  # noqa: E402
from stepclock import Clock  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

BIG = b"x" * 3000000


class Server:
    """Answers what it is sent with its own first letter and the same again; what it got is in "got"."""

    def __init__(self, folder, letter):
        self.place, self.letter, self.got = f"{folder}/{letter}.sock", letter.encode(), bytearray()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.place)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection):
        while data := connection.recv(65536):
            self.got += data
            try:
                connection.sendall(self.letter + data)
            except OSError:  # nobody waits for it any more
                pass
        connection.close()


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(path.listen)
    return client


def says(client, word, answer):
    client.sendall(word)
    return receives(client, answer)


def receives(client, answer):
    got = b""
    while len(got) < len(answer):
        data = client.recv(65536)
        if not data:
            return False
        got += data
    return got == answer


def refused(path):
    try:
        connect(path).close()
    except OSError:
        return True
    return False


def ended(client):
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def silent(client):
    client.settimeout(0.2)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(60)
    return False


def stall_story(path, a):
    client = connect(path)
    check("bytes go both ways", says(client, b"one", b"aone"))
    path.stall()
    client.sendall(b"two")
    late = connect(path)
    late.sendall(b"late")
    check("what is sent during a stall is held",
          eventually(lambda: path.state()["requests_held"] == 7) and silent(client) and a.got == b"one")
    dead = connect(path)
    dead.sendall(BIG)
    dead.close()
    check("all of what a client sent before it died",
          eventually(lambda: path.state()["requests_held"] == 7 + len(BIG)), path.state())
    path.go_on()
    check("it arrives late", receives(client, b"atwo") and receives(late, b"alate"))
    check("also that of the client that is gone", eventually(lambda: len(a.got) == 10 + len(BIG)), len(a.got))
    check("and its connection ends", eventually(lambda: path.state()["connections"] == 2), path.state())
    path.stall("replies")
    client.sendall(b"three")
    check("replies alone can stall", eventually(lambda: a.got.endswith(b"three")) and silent(client))
    path.go_on()
    check("and arrive late", receives(client, b"athree"))
    return client


def cut_story(path, client, a):
    path.stall()
    client.sendall(b"lost")
    eventually(lambda: path.state()["requests_held"] == 4)
    path.cut()
    check("a cut path closes its connections", ended(client))
    check("and refuses new ones", refused(path))
    path.heal()
    check("a healed one forwards again", says(connect(path), b"four", b"afour"))
    check("what was held when it was cut is lost", b"lost" not in a.got)


def switch_story(path, a, b):
    old = connect(path)
    path.target(b.place)
    check("with another target new connections lead there", says(connect(path), b"five", b"bfive"))
    check("and old ones stay", says(old, b"six", b"asix"))
    path.switch(a.place)
    check("a switch closes the old ones", ended(old))
    check("and new ones lead to the other server", says(connect(path), b"seven", b"aseven"))
    path.target(f"{a.place}.none")
    check("where there is no server, connections end at once", ended(connect(path)))


READ_CLOCKS = ("import sys, time\n"
               "for _ in sys.stdin:\n"
               "    print(time.time(), time.monotonic(), flush=True)")


def clock_story(folder):
    clock = Clock(f"{folder}/clock")
    process = subprocess.Popen([sys.executable, "-c", READ_CLOCKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, env={**os.environ, **clock.plain_settings})

    def read():
        process.stdin.write("now\n")
        process.stdin.flush()
        return [float(word) for word in process.stdout.readline().split()]

    for seconds in (0, 30, -30, 0):
        clock.step_to(seconds)
        (wall_before, steady_before), (wall, steady), = (time.time(), time.monotonic()), read()
        wall_after, steady_after = time.time(), time.monotonic()
        check(f"a clock stepped to {seconds} s is off by that", wall_before <= wall - seconds <= wall_after,
              (wall_before, wall, wall_after))
        check("and the monotonic clock is right", steady_before <= steady <= steady_after)
    process.stdin.close()
    process.wait(60)


def main():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        a, b = Server(folder, "a"), Server(folder, "b")
        path = Path(f"{folder}/path.sock", a.place)
        cut_story(path, stall_story(path, a), a)
        switch_story(path, a, b)
        path.close()
        check("a closed path is gone", refused(path))
        clock_story(folder)
    done_testing()


main()

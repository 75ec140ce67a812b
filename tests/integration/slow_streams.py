#!/usr/bin/python3
"""Streams that trickle: uploads with a token and server reflection without one, a byte every two seconds, and streams that say
nothing at all. Each ends, and honest clients go on, also on the connection of such streams. Beside them an upload that is slow
but fair, and one that the gateway itself holds up, because its database does: both succeed. Prints TAP."""
import contextlib
import hashlib
import os
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from frames import DATA, END_STREAM, HEADERS, WINDOW, begin, data, frame, head, message  # noqa: E402
from rookery.v1 import account_pb2, job_pb2 as jp  # noqa: E402
from stack import ENVIRONMENT, GATEWAY, metrics, sql  # noqa: E402  this test takes the shared stack for itself
from tap import check, done_testing, eventually  # noqa: E402
from witness import Watch, ask, register, stranger  # noqa: E402

UPLOAD, REFLECTION = "JobService/UploadDataset", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
PAUSE_S = 2
HELD_S = 18  # twice: together longer than a peer may take, and each shorter than a statement may
FAIR_BYTES, FAIR_PAUSE_S, FAIR_TIMES = 100, 0.25, 160  # 400 bytes a second, three times the least rate, for 40 s


class Connection:
    """Reads all the time, gives back what it reads, and knows which streams have ended."""

    def __init__(self, address="127.0.0.1"):
        self.socket, self.ended, self.lock = stranger(address), set(), threading.Lock()
        self.window = 65535  # of its streams together, which are small: this is the first one's
        self.lost = False
        self.socket.settimeout(None)
        self.send(begin())
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, payload):
        with self.lock, contextlib.suppress(OSError):
            self.socket.sendall(payload)

    def _read(self):
        got = b""
        while True:
            try:
                piece = self.socket.recv(65536)
            except OSError:
                piece = b""
            if not piece:
                self.lost = True
                return
            got += piece
            while len(got) >= 9 and len(got) >= 9 + int.from_bytes(got[:3], "big"):
                size = int.from_bytes(got[:3], "big")
                self._take(got[3], got[4], int.from_bytes(got[5:9], "big"), got[9:9 + size])
                got = got[9 + size:]

    def _take(self, kind, flags, stream, payload):
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(stream)
        if kind == DATA and payload:
            self.send(frame(WINDOW, 0, 0, struct.pack(">I", len(payload))))
        if kind == WINDOW and stream == 1:
            self.window += int.from_bytes(payload, "big")

    def send_within_window(self, payload):
        """On stream 1, as fast as the gateway takes it."""
        while payload and not self.lost and 1 not in self.ended:
            piece = payload[:min(self.window, 16384)]
            if not piece:
                time.sleep(0.01)
                continue
            self.window -= len(piece)
            self.send(data(1, piece))
            payload = payload[len(piece):]


def header(key, content):
    return message(jp.UploadDatasetRequest(header=jp.UploadHeader(
        name=key, idempotency_key=key, size_bytes=len(content),
        sha256=hashlib.sha256(content).digest())).SerializeToString())


def chunk(at, content):
    return message(jp.UploadDatasetRequest(chunk=jp.UploadChunk(offset=at, data=content)).SerializeToString())


def has_all(key, token):
    return ask("JobService/GetUpload", {"idempotencyKey": key}, token)[1].get("complete", False)


# --- those who trickle ------------------------------------------------------------------------------------------
class Tricklers:
    def __init__(self, name, connections, streams, method, token="", address="127.0.0.1", first=b""):
        self.name, self.stop = name, threading.Event()
        self.connections = [Connection(address) for _ in range(connections)]
        self.open = {(c, 1 + 2 * i) for c in self.connections for i in range(streams)}
        for connection, stream in sorted(self.open, key=lambda each: each[1]):
            connection.send(head(stream, method, token) + (data(stream, first) if first else b""))
        if first:
            threading.Thread(target=self._trickle, daemon=True).start()

    def left(self):
        return {(connection, stream) for connection, stream in self.open if stream not in connection.ended}

    def _trickle(self):
        while not self.stop.wait(PAUSE_S):
            for connection, stream in self.left():
                connection.send(data(stream, b"x"))

    def check(self):
        """A connection that is cut ends no stream: each has its status."""
        check(f"{self.name} end", eventually(lambda: not self.left()), f"{len(self.left())} of {len(self.open)} are open")
        self.stop.set()

    def close(self):
        for connection in self.connections:
            connection.socket.close()


# --- the honest ones --------------------------------------------------------------------------------------------
def upload_slowly(token):
    """One message at a steady rate above the least."""
    connection, content = Connection(), b"n\n" + b"7\n" * (FAIR_BYTES * FAIR_TIMES // 2)
    payload = chunk(0, content)
    connection.send(head(1, UPLOAD, token) + data(1, header("fair", content)))
    for at in range(0, len(payload), FAIR_BYTES):
        time.sleep(FAIR_PAUSE_S)
        connection.send(data(1, payload[at:at + FAIR_BYTES]))
    connection.send(data(1, b"", end=True))
    return eventually(lambda: 1 in connection.ended) and has_all("fair", token)


class RowLock:
    """Holds up the storing of an upload's chunks."""

    def __init__(self, key):
        self.psql = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", ENVIRONMENT["DATABASE_URL"]], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.psql.stdin.write(f"BEGIN;\nSELECT 1 FROM datasets WHERE name = '{key}' FOR UPDATE;\n")
        self.psql.stdin.flush()

    def await_it(self):
        self.psql.stdout.readline()
        return self

    def release(self):
        self.psql.stdin.close()
        self.psql.wait(60)


def waiting():
    return int(sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%datasets%'")[0][0])


def upload_held_up(token):
    """Its second message has begun, and can come no further, while the chunks of the first are being stored."""
    connection, content = Connection(), b"n\n" + b"7\n" * 600_000
    connection.send(head(1, UPLOAD, token))
    connection.send_within_window(header("held", content))
    if not eventually(lambda: sql("SELECT 1 FROM datasets WHERE name = 'held'")):
        return False
    first = RowLock("held").await_it()
    connection.send_within_window(chunk(0, content[:1_000_000]))
    if not eventually(lambda: waiting() == 1):
        return False
    rest = chunk(1_000_000, content[1_000_000:])
    connection.send_within_window(rest[:1000])
    second = RowLock("held")  # behind the gateway's statement
    if not eventually(lambda: waiting() == 2):
        return False
    time.sleep(HELD_S)
    first.release()
    second.await_it()
    time.sleep(HELD_S)
    second.release()
    connection.send_within_window(rest[1000:])
    connection.send(data(1, b"", end=True))
    return eventually(lambda: 1 in connection.ended) and has_all("held", token)


def honest_call_on(connection, account, token, stream=1001):
    request = account_pb2.GetAccountRequest(id=int(account["id"])).SerializeToString()
    connection.send(head(stream, "AccountService/GetAccount", token) + data(stream, message(request), end=True))
    return eventually(lambda: stream in connection.ended)


def number_of_late(name):
    return metrics(GATEWAY).get(f'rookery_rpc_requests_total{{method="{name}",code="DEADLINE_EXCEEDED"}}', 0)


watch = Watch()
watch.calm()
_, attacker = register("attacker")
_, uploader = register("uploader")
has_all("none", attacker)  # from now on the gateway knows the token: its streams count for the account at once
late = {name: number_of_late(name) for name in ("rookery.v1." + UPLOAD, REFLECTION[1:])}
came, threads = {}, []
for upload in (upload_slowly, upload_held_up):
    threads.append(threading.Thread(target=lambda upload=upload: came.update({upload.__name__: upload(uploader)})))
with watch:
    for thread in threads:
        thread.start()
    groups = [Tricklers("uploads that trickle", 2, 150, UPLOAD, attacker, first=message(b"", 100_000)),
              Tricklers("reflection streams that trickle", 2, 35, REFLECTION, address="127.0.0.66", first=message(b"", 4000)),
              Tricklers("uploads that say nothing", 1, 30, UPLOAD, attacker),
              Tricklers("reflection streams that say nothing", 1, 15, REFLECTION, address="127.0.0.66")]
    check("an honest call on a connection full of trickling streams is answered",
          honest_call_on(groups[0].connections[0], watch.account, watch.token))
    for group in groups:
        group.check()
    for (name, before), number in zip(late.items(), (330, 85)):
        now = number_of_late(name)
        check(f"late streams of {name} are DEADLINE_EXCEEDED", now - before == number, f"{now - before} of {number}")
    check("an honest call on their connection is answered behind them",
          honest_call_on(groups[0].connections[0], watch.account, watch.token, 1003))
    for thread in threads:
        thread.join()
    for group in groups:
        group.close()
check("an upload that is slow but fair succeeds", came.get("upload_slowly", False))
check("an upload that the gateway holds up succeeds", came.get("upload_held_up", False))
watch.check()
done_testing()

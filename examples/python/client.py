#!/usr/bin/python3
"""A client of Rookery in Python that is given nothing but an address: the server describes its API by reflection.

    examples/python/client.py [ADDR:PORT]       (default 127.0.0.1:8080)

Registers three people; one follows the second, listens to their home timeline, and goes on where the stream ended after a
cut; follows the third, whereupon the timeline is read again; then reads it page by page, and has a job fit a model to each
species of examples/penguins.csv.

Needs grpcio and protobuf (Debian: python3-grpcio, python3-protobuf). No code is generated.
"""
import hashlib
import os
import queue
import secrets
import sys
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PENGUINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../penguins.csv")
# How long an answer may take; longer than any that is well.
PATIENCE_S = 60
# No pause helps with these.
FINAL_CODES = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT,
               grpc.StatusCode.UNIMPLEMENTED)
LABEL = descriptor_pb2.FieldDescriptorProto


# --- the API, as the server describes it -------------------------------------------------------------------------------
class Reflection:
    """Asks for the files that describe a symbol. Its own few messages are described here."""

    def __init__(self, channel):
        file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package="r", syntax="proto3")
        self.describe(file, "Request", ("file_by_filename", 3), ("file_containing_symbol", 4))
        self.describe(file, "Files", ("file_descriptor_proto", 1), many=True)
        self.describe(file, "Response", ("file_descriptor_response", 4, ".r.Files"))
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self.request, self.response = (make_class(pool, "r." + name) for name in ("Request", "Response"))
        self.call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                          self.request.SerializeToString, self.response.FromString)

    @staticmethod
    def describe(file, name, *fields, many=False):
        message = file.message_type.add(name=name)
        for field_name, number, *of in fields:
            kind = LABEL.TYPE_MESSAGE if of else LABEL.TYPE_BYTES if many else LABEL.TYPE_STRING
            message.field.add(name=field_name, number=number, type=kind, type_name=of[0] if of else None,
                              label=LABEL.LABEL_REPEATED if many else LABEL.LABEL_OPTIONAL)

    def files(self, **what):
        reply = next(self.call(iter([self.request(**what)]), timeout=PATIENCE_S))
        return [descriptor_pb2.FileDescriptorProto.FromString(text)
                for text in reply.file_descriptor_response.file_descriptor_proto]


def make_class(pool, name):
    described = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):  # protobuf 4.22 and later
        return message_factory.GetMessageClass(described)
    return message_factory.MessageFactory(pool).GetPrototype(described)


class Rookery:
    """All methods: rookery.call("PostService/CreatePost", token, text="...") and so on."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.reflection, self.pool, self.known = Reflection(self.channel), descriptor_pool.DescriptorPool(), set()

    def learn(self, files):
        """A file may be added when those that it imports have been."""
        for file in files:
            if file.name in self.known:
                continue
            self.known.add(file.name)
            for name in file.dependency:
                if name not in self.known:
                    self.learn([f for f in files if f.name == name] or self.reflection.files(file_by_filename=name))
            self.pool.Add(file)

    def method(self, name):
        service, _, method = name.partition("/")
        service = "rookery.v1." + service
        if service not in self.known:
            self.learn(self.reflection.files(file_containing_symbol=service))
            self.known.add(service)
        return f"/{service}/{method}", self.pool.FindServiceByName(service).FindMethodByName(method)

    def prepare(self, name, token, kind):
        path, method = self.method(name)
        request, response = (make_class(self.pool, t.full_name) for t in (method.input_type, method.output_type))
        call = getattr(self.channel, kind)(path, request.SerializeToString, response.FromString)
        return request, call, [("authorization", "Bearer " + token)] if token else []

    def call(self, name, token=None, **fields):
        request, call, metadata = self.prepare(name, token, "unary_unary")
        return call(request(**fields), metadata=metadata, timeout=PATIENCE_S)

    def stream(self, name, token, **fields):
        """The answers of a server's stream, which has a cancel()."""
        request, call, metadata = self.prepare(name, token, "unary_stream")
        return call(request(**fields), metadata=metadata)

    def upload(self, name, token, messages):
        request, call, metadata = self.prepare(name, token, "stream_unary")
        return call((request(**fields) for fields in messages), metadata=metadata, timeout=PATIENCE_S)


# --- the timeline, live ------------------------------------------------------------------------------------------------
class Live:
    """What is new on a home timeline, through as many streams as it takes: each goes on where the one before ended. With a
    reset comes the whole timeline, which was read before the next message is taken."""

    def __init__(self, rookery, token):
        self.rookery, self.token, self.resume_token = rookery, token, ""
        self.news, self.stream, self.closed = queue.Queue(), None, threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        pause = 0.1
        while not self.closed.is_set():
            try:
                self.stream = self.rookery.stream("TimelineService/StreamHomeTimeline", self.token,
                                                  resume_token=self.resume_token)
                for message in self.stream:
                    kind, home = message.WhichOneof("event"), None
                    if kind == "reset":
                        home = list(pages(self.rookery, self.token, 100))
                    # Only now: when the timeline could not be read, the next stream sends the reset again.
                    self.resume_token, pause = message.resume_token, 0.1
                    self.news.put((kind, message, home))
            except grpc.RpcError as error:
                if error.code() in FINAL_CODES:
                    self.news.put(("error", error, None))
                    return
            # The server may be restarting: again, after a pause that grows.
            self.closed.wait(pause)
            pause = min(2 * pause, 10)

    def next(self, wanted):
        while True:
            kind, message, home = self.news.get(timeout=PATIENCE_S)
            if kind == "error":
                raise message
            if kind == wanted:
                return home if kind == "reset" else message

    def cut(self):
        self.stream.cancel()

    def close(self):
        self.closed.set()
        self.stream.cancel()


def pages(rookery, token, size):
    """All items of a home timeline, newest first."""
    page_token = ""
    while True:
        page = rookery.call("TimelineService/GetHomeTimeline", token, page_size=size, page_token=page_token)
        yield from page.items
        page_token = page.next_page_token
        if not page_token:
            return


# --- a job -------------------------------------------------------------------------------------------------------------
def fit_penguins(rookery, token):
    with open(PENGUINS, "rb") as file:
        content = file.read()
    header = {"name": "penguins", "size_bytes": len(content), "sha256": hashlib.sha256(content).digest(),
              "idempotency_key": secrets.token_hex(8)}
    chunks = [{"chunk": {"offset": at, "data": content[at:at + 65536]}} for at in range(0, len(content), 65536)]
    dataset = rookery.upload("JobService/UploadDataset", token, [{"header": header}, *chunks]).dataset
    ready = threading.Event()
    while rookery.call("JobService/DescribeDataset", token, dataset_id=dataset.id).dataset.state < 3:
        ready.wait(0.1)
    spec = {"linear": {"regression": {"slice_by": ["species"], "y": "flipper_length_mm", "x": ["bill_length_mm"]}}}
    job = rookery.call("JobService/CreateJob", token, dataset_id=dataset.id, spec=spec).job
    for change in rookery.stream("JobService/WatchJob", token, job_id=job.id):
        job = change.job
        print(f"job: {job.tasks_done} of {job.task_count} tasks done")
    if job.error:
        sys.exit("the job failed: " + job.error)
    table = b"".join(part.data for part in rookery.stream("JobService/GetResult", token, job_id=job.id))
    print(table.decode(), end="")


def main():
    rookery = Rookery(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080")

    def register(name):
        return rookery.call("AccountService/Register", handle=f"{name}_{secrets.token_hex(4)}",
                            password=secrets.token_urlsafe(12))
    ada, grace, hedy = register("ada"), register("grace"), register("hedy")
    rookery.call("PostService/CreatePost", hedy.token, text="An older post")
    rookery.call("GraphService/Follow", grace.token, account_id=ada.account.id)
    print(f"@{grace.account.handle} follows @{ada.account.handle}")

    live = Live(rookery, grace.token)
    live.next("heartbeat")  # from here on nothing is missed
    rookery.call("PostService/CreatePost", ada.token, text="Hello by reflection")
    print("live:", live.next("item").item.post.text)
    live.cut()
    for i in range(4):
        rookery.call("PostService/CreatePost", ada.token, text=f"while away {i + 1}")
    for _ in range(4):
        print("resumed:", live.next("item").item.post.text)
    rookery.call("GraphService/Follow", grace.token, account_id=hedy.account.id)
    for item in live.next("reset"):
        print("again:", item.post.text)
    live.close()

    for item in pages(rookery, grace.token, 2):
        print("home:", item.post.text)
    fit_penguins(rookery, grace.token)


main()

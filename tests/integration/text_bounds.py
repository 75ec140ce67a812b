#!/usr/bin/python3
"""Every text that a request may hold has a bound in the proto, and a megabyte in any of them is refused with the field's name,
before anybody works with it. Prints TAP."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, People  # noqa: E402
from google.protobuf import message_factory  # noqa: E402
from rookery.v1 import account_pb2, graph_pb2, job_pb2, options_pb2, post_pb2, timeline_pb2  # noqa: E402
from tap import check, done_testing  # noqa: E402

FILES = (account_pb2, graph_pb2, post_pb2, timeline_pb2, job_pb2)
MEGABYTE = 1_000_000
PATIENCE_S = 60


def texts_of(descriptor, path=()):
    """The ways to each text of a message, as lists of field descriptors."""
    for field in descriptor.fields:
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            yield path + (field,)
        elif field.type == field.TYPE_MESSAGE and field.message_type.file.package == "rookery.v1":
            yield from texts_of(field.message_type, path + (field,))


def put(message, path, value):
    """The value at the end of the way."""
    field, rest = path[0], path[1:]
    repeated = field.label == field.LABEL_REPEATED
    if rest:
        inner = getattr(message, field.name)
        put(inner.add() if repeated else inner, rest, value)
        if not repeated:
            inner.SetInParent()
    elif repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def make(descriptor):
    factory = getattr(message_factory, "GetMessageClass", None)
    return factory(descriptor) if factory else message_factory.MessageFactory().GetPrototype(descriptor)


def call(channel, method, request, metadata):
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer = make(method.output_type).FromString
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    rpc = getattr(channel, kind)(path, type(request).SerializeToString, answer)
    sent = iter([request]) if method.client_streaming else request
    result = rpc(sent, metadata=metadata, timeout=PATIENCE_S)
    if method.server_streaming:
        for _ in result:
            pass


def code_of(channel, method, request, metadata):
    try:
        call(channel, method, request, metadata)
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as error:
        return error.code(), error.details()


def try_texts(channel, method, metadata):
    for path in texts_of(method.input_type):
        field = path[-1]
        name = f"{method.name}: {'.'.join(f.name for f in path)}"
        bound = field.GetOptions().Extensions[options_pb2.max_bytes]
        if not 0 < bound < MEGABYTE:
            check(f"{name} has a bound", bound > 0)
            continue
        request = make(method.input_type)()
        value = "a" * MEGABYTE
        put(request, path, value.encode() if field.type == field.TYPE_BYTES else value)
        code, text = code_of(channel, method, request, metadata)
        right = code == grpc.StatusCode.INVALID_ARGUMENT and text == \
            f"{field.name} must be at most {bound} bytes, this has {MEGABYTE}"
        check(f"{name} of a megabyte is refused", right, (code, text))


channel = connect()
ada, = People(channel).named("ada")
for file in FILES:
    for service in file.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            options = method.GetOptions()
            public = options.Extensions[options_pb2.permission] == options_pb2.PERMISSION_ANYBODY
            try_texts(channel, method, () if public else ada.me["metadata"])
done_testing()

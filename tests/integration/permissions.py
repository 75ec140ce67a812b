#!/usr/bin/python3
"""Who may call a method is what its proto says: every method is tried without a token, and by an account that is not an analyst.
Prints TAP. Runs against the shared stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, People  # noqa: E402
from google.protobuf import message_factory  # noqa: E402
from rookery.v1 import account_pb2, graph_pb2, job_pb2, options_pb2, post_pb2, timeline_pb2  # noqa: E402
from tap import check, done_testing  # noqa: E402

FILES = (account_pb2, graph_pb2, post_pb2, timeline_pb2, job_pb2)
PATIENCE_S = 60


def make(descriptor):
    factory = getattr(message_factory, "GetMessageClass", None)
    return factory(descriptor) if factory else message_factory.MessageFactory().GetPrototype(descriptor)


def code_of(channel, method, metadata):
    """Of a call with an empty request; a stream is left when it begins."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    request = make(method.input_type)
    rpc = getattr(channel, kind)(path, request.SerializeToString, make(method.output_type).FromString)
    try:
        result = rpc(iter([request()]) if method.client_streaming else request(), metadata=metadata, timeout=PATIENCE_S)
        if method.server_streaming:
            next(result)
            result.cancel()
        return grpc.StatusCode.OK
    except StopIteration:
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


def main():
    channel = connect()
    someone = People(channel).named("someone")[0]
    methods = [m for file in FILES for s in file.DESCRIPTOR.services_by_name.values() for m in s.methods]
    tried = {options_pb2.PERMISSION_ANYBODY: 0, options_pb2.PERMISSION_ACCOUNT: 0, options_pb2.PERMISSION_ANALYST: 0}
    for method in methods:
        permission = method.GetOptions().Extensions[options_pb2.permission]
        tried[permission] += 1
        without = code_of(channel, method, ())
        if permission == options_pb2.PERMISSION_ANYBODY:
            check(f"{method.full_name} is for anybody", without != grpc.StatusCode.UNAUTHENTICATED or "Login" in method.name, without)
            continue
        check(f"{method.full_name} needs a token", without == grpc.StatusCode.UNAUTHENTICATED, without)
        session = someone.with_token(someone.login())  # the method may end it
        ordinary = code_of(channel, method, session.me["metadata"])
        denied = ordinary == grpc.StatusCode.PERMISSION_DENIED
        check(f"{method.full_name} is {'' if permission == options_pb2.PERMISSION_ACCOUNT else 'not '}for an ordinary account",
              denied == (permission == options_pb2.PERMISSION_ANALYST) and ordinary != grpc.StatusCode.UNAUTHENTICATED, ordinary)
    check("there are methods of each kind", all(tried.values()), tried)
    done_testing()


main()

#!/usr/bin/python3
"""Who may call a method is what its proto says: every method is tried without a token, and by an account that is not an analyst.
Prints TAP. Runs against the shared stack."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import grpc  # noqa: E402
from callers import connect, People  # noqa: E402
from methods import caller, make, methods, name_of, permission_of, served_methods  # noqa: E402
from rookery.v1 import options_pb2  # noqa: E402
from tap import check, done_testing  # noqa: E402

PATIENCE_S = 60


def code_of(channel, method, metadata):
    """Of a call with an empty request; a stream is left when it begins."""
    request = make(method.input_type)()
    try:
        result = caller(channel, method)(iter([request]) if method.client_streaming else request, metadata=metadata,
                                         timeout=PATIENCE_S)
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
    tried = {options_pb2.PERMISSION_ANYBODY: 0, options_pb2.PERMISSION_ACCOUNT: 0, options_pb2.PERMISSION_ANALYST: 0}
    for method in methods():
        permission = permission_of(method)
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
    found = {name_of(method) for method in methods()}
    check("they are all that the gateway serves", found == served_methods(), found ^ served_methods())
    done_testing()


main()

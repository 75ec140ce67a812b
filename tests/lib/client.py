"""For client tests in Python: results in TAP, and people who call the gateway.

check and fails_with print one result each; finish prints the plan and ends the program. Needs ROOKERY_GATEWAY (or
connect) and the stubs on PYTHONPATH.
"""
import os
import secrets
import sys
import time

import grpc
from rookery.v1 import account_pb2, account_pb2_grpc

PATIENCE_S = 60
results = {"count": 0, "failed": 0}


def check(name, passed, said=""):
    results["count"] += 1
    results["failed"] += not passed
    print(f"{'ok' if passed else 'not ok'} {results['count']} - {name}", flush=True)
    if not passed and said != "":
        print("# " + str(said).replace("\n", "\n# "), flush=True)
    return passed


def fails_with(name, code, call, said=""):
    """The call fails with this status and words; streams are read to their end."""
    try:
        reply = call()
        if hasattr(reply, "__iter__"):
            list(reply)
        check(name, False, "the call succeeded")
    except grpc.RpcError as error:
        check(name, error.code() == code and said in error.details(), f"{error.code()}: {error.details()}")


def eventually(predicate, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not predicate():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def finish():
    print(f"1..{results['count']}")
    sys.exit(results["failed"] > 0)


class Person:
    """Somebody with an account; `me` are the arguments of a call of theirs."""

    def __init__(self, name, channel):
        self.channel = channel
        self.handle = f"{name}_{secrets.token_hex(5)}"
        reply = account_pb2_grpc.AccountServiceStub(channel).Register(
            account_pb2.RegisterRequest(handle=self.handle, password="correct horse battery"), timeout=PATIENCE_S)
        self.id, self.token = reply.account.id, reply.token

    @property
    def me(self):
        return {"metadata": (("authorization", "Bearer " + self.token),), "timeout": PATIENCE_S}


def connect(address=None):
    return grpc.insecure_channel(address or os.environ["ROOKERY_GATEWAY"])

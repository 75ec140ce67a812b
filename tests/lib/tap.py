"""For test programs in Python: results in TAP, and waiting."""
import sys
import time

PATIENCE_S = 60

_count = _failed = 0


def check(name, passed, said=""):
    global _count, _failed
    _count += 1
    _failed += not passed
    print(f"{'ok' if passed else 'not ok'} {_count} - {name}", flush=True)
    if not passed and said != "":
        print("# " + str(said).replace("\n", "\n# "), flush=True)


def note(text):
    print("# " + text, flush=True)


def fails_with(name, code, call, field=""):
    """A gRPC call fails with this status, and its message names the field."""
    import grpc  # not every test has it

    try:
        call()
        check(name, False, "the call succeeded")
    except grpc.RpcError as error:
        right = error.code() == code and field in error.details()
        check(name, right, f"{error.code()}: {error.details()}")


def failures():
    return _failed


def done_testing():
    print(f"1..{_count}")
    sys.exit(_failed > 0)


def patiently(read):
    """What read() returns. Some tests read as fast as they can, and a quick machine reads more pages in a second than an
    account may: then it waits a moment, as it is told to."""
    while True:
        try:
            return read()
        except Exception as error:  # pylint: disable=broad-except
            if "too many pages by this account" not in str(error):
                raise
            time.sleep(0.05)


def eventually(predicate):
    end = time.monotonic() + PATIENCE_S
    while not predicate():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True

"""For test programs in Python: the stack that scripts/test brought up, and results in TAP.

Imported by tests that put this folder on sys.path. Everything is found in the environment (scripts/test's header).
"""
import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request

from tap import PATIENCE_S, check, done_testing, eventually  # noqa: F401  what a test imports from here

GATEWAY = os.environ["ROOKERY_GATEWAY"]
BUILD = os.environ["ROOKERY_BUILD"]
STACK = os.environ["ROOKERY_TEST_STACK"]


# --- the servers ------------------------------------------------------------------------------------------------
def _stack_environment():
    """DATABASE_URL and REDIS_URL of the stack, without the variables that the daemons do not know."""
    line = f". {STACK}/run/env && printf '%s\\0%s' \"$DATABASE_URL\" \"$REDIS_URL\""
    urls = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True).stdout.split("\0")
    strange = ("ROOKERY_TEST_DATABASE_URL", "ROOKERY_TEST_REDIS_URL", "ROOKERY_TEST_STACK", "ROOKERY_BUILD",
               "ROOKERY_GATEWAY")
    environment = {name: value for name, value in os.environ.items() if name not in strange}
    return {**environment, "DATABASE_URL": urls[0], "REDIS_URL": urls[1], "ROOKERY_LISTEN": GATEWAY}


ENVIRONMENT = _stack_environment()


def sql(statement, database=ENVIRONMENT["DATABASE_URL"]):
    """The rows of a statement, as lists of texts."""
    run = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database,
                          "-c", statement], check=True, capture_output=True, text=True)
    return [line.split("\t") for line in run.stdout.splitlines()]


def redis(*words, url=ENVIRONMENT["REDIS_URL"]):
    """What redis-cli prints for a command, without the last newline."""
    where = ["-s", url[len("unix://"):]] if url.startswith("unix://") else ["-u", url]
    run = subprocess.run(["redis-cli", *where, *map(str, words)], check=True, capture_output=True, text=True)
    return run.stdout.rstrip("\n")


def worker(*words, **settings):
    """A run of rookery-worker on the stack; settings are environment variables."""
    return subprocess.run([f"{BUILD}/rookery-worker", *map(str, words)], env={**ENVIRONMENT, **settings},
                          capture_output=True, text=True, timeout=240)


def epoch():
    return sql("SELECT max(epoch) FROM redis_epochs")[0][0]


# --- people -----------------------------------------------------------------------------------------------------
def api(method, message, token=""):
    """A call as Connect has it: JSON over HTTP/1.1."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = "Bearer " + token
    request = urllib.request.Request(f"http://{GATEWAY}/rookery.v1.{method}", json.dumps(message).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method}: {error.read().decode()}") from error


class Person:
    def __init__(self, name):
        self.handle = f"{name}_{secrets.token_hex(5)}"
        reply = api("AccountService/Register", {"handle": self.handle, "password": "correct horse battery"})
        self.id, self.token = reply["account"]["id"], reply["token"]

    def call(self, method, **message):
        return api(method, message, self.token)

    def follow(self, other):
        self.call("GraphService/Follow", accountId=other.id)

    def post(self, text):
        return self.call("PostService/CreatePost", text=text)["post"]["id"]

    def home(self):
        return [item["id"] for item in self.call("TimelineService/GetHomeTimeline", pageSize=100).get("items", [])]

    def timeline_key(self):
        return f"tl:{epoch()}:{{{self.id}}}"

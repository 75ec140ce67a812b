"""For test programs in Python: the stack that scripts/test brought up, and results in TAP.

Imported by tests that put this folder on sys.path. Everything is found in the environment (scripts/test's header).
"""
import json
import os
import re
import secrets
import socket
import subprocess
import threading
import urllib.error
import urllib.request

from tap import PATIENCE_S, check, done_testing, eventually, patiently  # noqa: F401  what a test imports from here

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
    run = subprocess.run(["redis-cli", *where, *map(str, words)], check=True, capture_output=True, encoding="latin-1")
    return run.stdout.rstrip("\n")


def worker(*words, **settings):
    """A run of rookery-worker on the stack; settings are environment variables."""
    return subprocess.run([f"{BUILD}/rookery-worker", *map(str, words)], env={**ENVIRONMENT, **settings},
                          capture_output=True, text=True, timeout=240)


def epoch():
    return sql("SELECT max(epoch) FROM redis_epochs")[0][0]


class Own:
    """A Rookery of the test's own, beside the stack: its database, an empty Redis, and daemons that it may stop.

    Used as a context: all of it is gone at the end.
    """

    def __init__(self, **settings):
        self.name = f"own_{os.getpid()}"
        self.database = re.sub(r"/[^/?]+(\?|$)", rf"/{self.name}\1", os.environ["ROOKERY_TEST_DATABASE_URL"], count=1)
        self.redis_url = os.environ["ROOKERY_TEST_REDIS_URL"]
        self.gateway, self.metrics, self.gateway_metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
        METRICS_OF[self.gateway] = self.gateway_metrics
        self.environment = {**ENVIRONMENT, "DATABASE_URL": self.database, "REDIS_URL": self.redis_url,
                            "ROOKERY_LISTEN": self.gateway, "ROOKERY_METRICS_LISTEN": self.metrics, **settings}
        self.running = []

    def __enter__(self):
        sql(f"CREATE DATABASE {self.name}", os.environ["ROOKERY_TEST_DATABASE_URL"])
        self.redis("FLUSHALL")
        subprocess.run([f"{BUILD}/rookery-gateway", "migrate"], env=self.environment, check=True, capture_output=True)
        return self

    def __exit__(self, *_):
        self.stop(*self.running)
        sql(f"DROP DATABASE {self.name} WITH (FORCE)", os.environ["ROOKERY_TEST_DATABASE_URL"])

    def start(self, program, **settings):
        """"gateway" or "worker"; returned when it is ready: its log, on standard error, says so."""
        if program == "gateway":
            settings = {"ROOKERY_METRICS_LISTEN": self.gateway_metrics, **settings}
        daemon = subprocess.Popen([f"{BUILD}/rookery-{program}"], env={**self.environment, **settings},
                                  stderr=subprocess.PIPE, text=True)
        daemon.log, daemon.ready = [], threading.Event()
        threading.Thread(target=self._listen, args=(daemon,), daemon=True).start()
        self.running.append(daemon)
        if not daemon.ready.wait(PATIENCE_S) or daemon.poll() is not None:
            raise RuntimeError(f"{program} did not start:\n" + "".join(daemon.log))
        return daemon

    @staticmethod
    def _listen(daemon):
        for line in daemon.stderr:
            daemon.log.append(line)
            if '"message":"ready"' in line:
                daemon.ready.set()
        daemon.ready.set()

    def stop(self, *daemons):
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(PATIENCE_S)
        self.running = [daemon for daemon in self.running if daemon not in daemons]

    def sql(self, statement):
        return sql(statement, self.database)

    def epoch(self):
        return self.sql("SELECT max(epoch) FROM redis_epochs")[0][0]

    def number(self, query):
        return int(self.sql(query)[0][0])

    def redis(self, *words):
        return redis(*words, url=self.redis_url)

    def worker(self, *words):
        return subprocess.run([f"{BUILD}/rookery-worker", *map(str, words)], env=self.environment,
                              capture_output=True, text=True, timeout=240)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def page(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE_S) as reply:
        return reply.read().decode()


METRICS_OF = {}  # where the metrics are of the gateway that clients find at an address


def metrics_address(address):
    if address == GATEWAY and address not in METRICS_OF:
        with open(f"{STACK}/run/metrics", encoding="utf-8") as file:
            METRICS_OF[address] = file.readline().strip()
    return METRICS_OF.get(address, address)


def metrics(address):
    """{"name{labels}": value} of the /metrics page of the daemon that serves it here, or that serves clients here."""
    lines = [line.rsplit(" ", 1) for line in page(metrics_address(address), "/metrics").splitlines()
             if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


# --- people -----------------------------------------------------------------------------------------------------
def api(method, message, token="", gateway=GATEWAY):
    """A call as Connect has it: JSON over HTTP/1.1."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = "Bearer " + token
    request = urllib.request.Request(f"http://{gateway}/rookery.v1.{method}", json.dumps(message).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method}: {error.read().decode()}") from error


class Person:
    def __init__(self, name, gateway=GATEWAY):
        self.handle, self.gateway = f"{name}_{secrets.token_hex(5)}", gateway
        reply = api("AccountService/Register", {"handle": self.handle, "password": "correct horse battery"},
                    gateway=gateway)
        self.id, self.token = reply["account"]["id"], reply["token"]

    def call(self, method, **message):
        return patiently(lambda: api(method, message, self.token, self.gateway))

    def follow(self, other):
        self.call("GraphService/Follow", accountId=other.id)

    def post(self, text):
        return self.call("PostService/CreatePost", text=text)["post"]["id"]

    def home(self):
        return [item["id"] for item in self.call("TimelineService/GetHomeTimeline", pageSize=100).get("items", [])]

    def timeline_key(self, own=None):
        return f"tl:{epoch() if own is None else own.epoch()}:{{{self.id}}}"

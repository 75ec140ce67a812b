"""For tests in Python: a Rookery of the test's own, with the settings it likes, whose parts it may kill.

    from own_stack import Stack
    with Stack() as stack:                       # PostgreSQL and Redis; nothing else yet
        stack.gateway(ROOKERY_CHUNK_AUDIENCE=10)
        stack.worker("worker-1", ROOKERY_ROLES="relay,fanout")
        ada = stack.person("ada")
        ...
    done_testing()

A daemon's way to Redis or PostgreSQL may lead over a path (path.py), which stalls or is cut when it is told so:

        path = stack.path_to_redis()
        stack.gateway("gateway-2", paths=[path])  # this one only; worker() and start() take paths, too
        path.stall()
        ...
        path.switch(stack.another_redis("redis-b"))

and its wall clock may be stepped while it runs (stepclock.py):

        clock = stack.clock()
        stack.worker("worker-1", paths=[clock])
        clock.step_to(-30)                        # seconds off the machine's clock

The servers and daemons are those of scripts/lib-servers.sh, run by a shell that is told what to do line by line.
"""
import atexit
import copy
import glob
import http.client
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile

from path import Path
from stepclock import Clock
from tap import PATIENCE_S, eventually, failures, patiently

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Person:
    """An account, spoken for over Connect's JSON. Ids are text, as JSON has them."""

    def __init__(self, stack, name):
        self.stack, self.address, self.token = stack, None, ""
        self.handle = f"{name}_{secrets.token_hex(4)}"
        reply = self.call("AccountService/Register", handle=self.handle, password="correct horse battery")
        self.id, self.token = reply["account"]["id"], reply["token"]

    def at(self, address):
        """The same person, at this gateway instead of the one that the stack's address names."""
        other = copy.copy(self)
        other.address = address
        return other

    def call(self, method, **message):
        return patiently(lambda: self.call_once(method, message))

    def call_once(self, method, message):
        connection = http.client.HTTPConnection(*(self.address or self.stack.address), timeout=PATIENCE_S)
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = "Bearer " + self.token
        connection.request("POST", "/rookery.v1." + method, json.dumps(message), headers)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method}: {response.status} {body}")
        return json.loads(body)

    def post(self, text, **more):
        return self.call("PostService/CreatePost", text=text, **more)["post"]["id"]

    def follow(self, other):
        self.call("GraphService/Follow", accountId=other.id)

    def home(self):
        """The ids of the home timeline's newest 100 entries, newest first."""
        return [item["id"] for item in self.call("TimelineService/GetHomeTimeline", pageSize=100).get("items", [])]


class Lock:
    def __init__(self, stack, table):
        psql = stack.sh('echo "$POSTGRES_BIN/psql"')
        self.session = subprocess.Popen([psql, "-X", "-q", "-A", "-t", "-d", stack.database_url], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.session.stdin.write(f"BEGIN;\nLOCK TABLE {table};\nSELECT 1;\n")
        self.session.stdin.flush()
        self.session.stdout.readline()

    def close(self):
        self.session.stdin.close()
        self.session.wait(30)


class Stack:
    SHELL = """
        . scripts/lib.sh; ME=stack; . scripts/lib-servers.sh; export POSTGRES_SHARED_BUFFERS=32MB
        while IFS= read -r line <&3; do status=0; eval "$line" </dev/null || status=$?; echo "@@ $status"; done
    """

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="rookery-stack.", dir="/tmp")
        os.chmod(self.folder, 0o755)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROOKERY_", "DATABASE_URL", "REDIS_URL"))}
        environment["BUILD"] = os.environ.get("ROOKERY_BUILD", os.path.join(ROOT, "build"))
        read_end, self.tell = os.pipe()
        self.shell = subprocess.Popen(["bash", "-c", self.SHELL.replace("<&3", f"<&{read_end}")], cwd=ROOT, text=True,
                                      env=environment, stdout=subprocess.PIPE, pass_fds=[read_end])
        os.close(read_end)
        self.address = self.metrics_address = None  # of the gateway that was started last: for clients, for its /metrics
        self.settings, self.paths, self.clocks, self.reports = {}, [], 0, []
        atexit.register(self.close)
        self.sh(f"data_open {shlex.quote(self.folder)}/data")
        self.sh("postgres_start && redis_start redis && migrate")
        self.redis_url = self.sh("echo $REDIS_URL")
        self.database_url = self.sh("echo $DATABASE_URL")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if failures() or sys.exc_info()[0]:
            self.show_logs()
        self.close()
        if self.reports:
            raise RuntimeError("a sanitizer reported in a log:\n" + "\n".join(self.reports))

    def close(self):
        if self.shell is None:
            return
        try:
            self.sh("data_close")
        finally:
            for path in self.paths:
                path.close()
            self.reports = self.sanitizer_reports()
            os.close(self.tell)
            self.shell.wait(30)
            self.shell = None
            shutil.rmtree(self.folder, ignore_errors=True)

    def sh(self, line):
        """Runs a line in the shell: what it printed; raises when it failed."""
        os.write(self.tell, (line + "\n").encode())
        printed = []
        while True:
            answer = self.shell.stdout.readline()
            if answer == "":
                raise RuntimeError(f"the shell died of: {line}")
            if answer.startswith("@@ "):
                break
            printed.append(answer)
        text = "".join(printed).strip()
        if answer.strip() != "@@ 0":
            raise RuntimeError(f"{line}: {answer.strip()}\n{text}")
        return text

    # --- daemons ---
    def gateway(self, name="gateway-1", paths=(), **settings):
        """Starts a gateway and waits until it is ready; its settings, not those of its paths, are all daemons' from
        then on."""
        self.settings = {"ROOKERY_PASSWORD_MEMORY_KIB": 8192, "ROOKERY_PASSWORD_PASSES": 1,
                         "ROOKERY_LIMIT_POSTS": 1000000,  # tests post without pause
                         **settings}
        port, metrics_port = self.sh("free_port"), self.sh("free_port")
        self.address, self.metrics_address = ("127.0.0.1", int(port)), ("127.0.0.1", int(metrics_port))
        self.start(name, "rookery-gateway", paths, ROOKERY_LISTEN=f"127.0.0.1:{port}",
                   ROOKERY_METRICS_LISTEN=f"127.0.0.1:{metrics_port}")
        self.sh(f"daemon_wait {name} http_is_ok 127.0.0.1 {port} /readyz")

    def worker(self, name, paths=(), **settings):
        self.start(name, "rookery-worker", paths, **settings)

    def start(self, name, program, paths=(), **settings):
        settings = {**self.settings, **settings}
        for path in paths:
            settings.update(path.settings)
        words = [f"{key}={value}" for key, value in settings.items()]
        self.sh(f"daemon_start {name} {shlex.join(words)} \"$BUILD/{program}\"")

    def wait_ready(self, name):
        eventually(lambda: '"ready"' in self.log(name))

    def pid(self, name):
        return int(self.sh(f'pidfile_pid "$DATA/run/{name}.pid"'))

    def kill(self, name, signal="KILL"):
        self.sh(f'kill -s {signal} "$(pidfile_pid "$DATA/run/{name}.pid")"')

    def wait(self, name):
        """Waits for its end: the exit status."""
        script = f'read -r pid _ <"$DATA/run/{name}.pid"; ended=0; wait "$pid" || ended=$?; echo "$ended"'
        return int(self.sh(script))

    def stop(self, name, signal="TERM"):
        self.kill(name, signal)
        return self.wait(name)

    def log(self, name):
        """What it has said so far; nothing while it is being started."""
        if not os.path.exists(f"{self.folder}/data/log/{name}.log"):
            return ""
        with open(f"{self.folder}/data/log/{name}.log", encoding="utf-8") as file:
            return file.read()

    def sanitizer_reports(self):
        """A leak is reported when a daemon ends, and by nothing else than its log."""
        found = []
        for path in sorted(glob.glob(f"{self.folder}/data/log/*.log")):
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
            begins = [i for i, line in enumerate(lines) if re.search(r"ERROR: \w+Sanitizer|runtime error:", line)]
            found += [f"{os.path.basename(path)}: {line}" for line in lines[begins[0]:begins[0] + 30]] if begins else []
        return found

    def show_logs(self):
        for file in sorted(os.listdir(f"{self.folder}/data/log")):
            if file.startswith(("gateway", "worker")):
                lines = [line for line in self.log(file.removesuffix(".log")).splitlines() if "connect" not in line]
                print("\n".join([f"# --- the end of {file}:", *(f"# {line}" for line in lines[-15:])]), flush=True)

    def metrics(self):
        """{series: value} of the gateway that was started last."""
        connection = http.client.HTTPConnection(*self.metrics_address, timeout=PATIENCE_S)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    # --- paths ---
    def path_to_redis(self):
        """A path to Redis, for the daemons that are started with it."""
        listen = f"{self.folder}/data/run/path-{len(self.paths)}.sock"
        self.paths.append(Path(listen, self.redis_socket(), REDIS_URL="unix://" + listen))
        return self.paths[-1]

    def path_to_postgres(self):
        """A path to PostgreSQL, for the daemons that are started with it; analysts' queries do not take it."""
        folder = f"{self.folder}/data/run/path-{len(self.paths)}"
        os.mkdir(folder, 0o700)
        target = self.sh("echo $SOCKETS/postgres/.s.PGSQL.5432")
        self.paths.append(Path(f"{folder}/.s.PGSQL.5432", target,
                               DATABASE_URL=f"postgresql:///rookery?host={folder}&user=rookery"))
        return self.paths[-1]

    def clock(self):
        """A clock for the daemons that are started with it."""
        self.clocks += 1
        return Clock(f"{self.folder}/data/run/clock-{self.clocks}")

    def another_redis(self, name, clock=None):
        """Starts a Redis beside the stack's own: where it listens, for Path.switch()."""
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in clock.plain_settings.items()) if clock else ""
        self.sh(f'own=$REDIS_URL; {words} redis_start {name}; REDIS_URL=$own')
        return self.sh(f"echo $SOCKETS/{name}.sock")

    # --- servers ---
    def redis_socket(self):
        return self.redis_url.removeprefix("unix://")

    def redis(self, *words):
        """A command's reply: text, a number or a list of these, as redis-cli's JSON has it."""
        command = ["redis-cli", "-s", self.redis_socket(), "--json", *map(str, words)]
        # Payloads are bytes: what is no text is of no interest here.
        text = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout
        return json.loads(text) if text.strip() else None

    def sql(self, statement):
        return self.sh(f"postgres_psql rookery -c {shlex.quote(statement)}")

    def lock(self, table):
        """Keeps everybody from the table until the object that is returned is closed."""
        return Lock(self, table)

    def wait_for_relay(self):
        """Until a new Redis has been told the events of the window again: what is done later is told once."""
        eventually(lambda: self.sql("SELECT bool_and(republished) FROM redis_epochs") == "t")

    def person(self, name):
        return Person(self, name)

    def people(self, name, number):
        return [self.person(f"{name}{i}") for i in range(number)]

    def timeline(self, person):
        """The raw elements of a home timeline's list, oldest first."""
        epoch = self.sql("SELECT max(epoch) FROM redis_epochs")
        return self.redis("LRANGE", f"tl:{epoch}:{{{person.id}}}", 0, -1)

    def groups(self, stream, partitions=4):
        """{partition: {group name: its XINFO}} of the partitions that exist."""
        found = {}
        for p in range(partitions):
            key = f"{stream}:{{{p}}}"
            if self.redis("EXISTS", key):
                found[p] = {group["name"]: group for group in map(as_dict, self.redis("XINFO", "GROUPS", key))}
        return found

    def members(self, stream, partition, group):
        """The consumers of a group on one partition."""
        return list(map(as_dict, self.redis("XINFO", "CONSUMERS", f"{stream}:{{{partition}}}", group)))

    def settled(self, stream, group):
        """Has the group handled all there is on the stream's partitions?"""
        return all(group in groups and groups[group]["pending"] == 0 and groups[group]["lag"] == 0
                   for groups in self.groups(stream).values())


def as_dict(flat):
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2]))

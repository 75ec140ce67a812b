#!/usr/bin/python3
"""Many more calls than a gateway can serve: it serves nearly as many as at its best, and whoever calls once at a time does not
notice. The flood is of thousands of calls in flight on 40 connections, which call again at once when they are refused. Prints TAP."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from own_stack import ROOT, Stack  # noqa: E402
from siege import Honest, ask  # noqa: E402
from tap import check, done_testing, note  # noqa: E402

BUILD = os.path.join(ROOT, os.environ.get("ROOKERY_BUILD", "build"))
ACCOUNTS, CALLS = 200, 60_000
# Of its best; and memory, as the gateway's process has it.
GOODPUT, RSS_KIB = 0.6, 200 * 1024
ACCOUNTS_SQL = """
insert into accounts (id, handle, display_name, password_hash) select i, 'load' || i, 'L', 'none' from generate_series(1, {n}) i;
insert into account_stats (account_id) select id from accounts where id <= {n};
insert into sessions (id, account_id, token_hash, expires_at)
    select i, i, sha256(convert_to('load-' || i, 'UTF8')), now() + interval '1 day' from generate_series(1, {n}) i;
"""


class Load:
    """All calls are due within a second, so as many are in flight as there are callers. ok_per_cpu_s: calls served in a second of
    the gateway's own time, since how much of the machine it gets is not its doing."""

    def __init__(self, stack, tokens, pid):
        self.stack, self.tokens, self.pid = stack, tokens, pid

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def run(self, calls, connections, callers):
        command = [f"{BUILD}/rookery-load", "run", "--gateway", "%s:%d" % self.stack.address, "--tokens", self.tokens,
                   "--mix", "user=1", "--rate", str(calls), "--seconds", "1", "--connections", str(connections),
                   "--callers", str(callers), "--json"]
        before = self.cpu_s()
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        took_s, report = self.cpu_s() - before, json.loads(run.stdout)
        self.status = report["calls"]["user"]["status"]
        self.ok_per_cpu_s = self.status.get("OK", 0) / took_s
        note(f"{callers} callers on {connections} connections: {self.status}, {self.status.get('OK', 0) / report['seconds']:.0f} "
             f"served in a second, {self.ok_per_cpu_s:.0f} in one of the gateway's")
        return self.ok_per_cpu_s


def main():
    with Stack() as stack:
        stack.gateway()
        stack.sql(" ".join(ACCOUNTS_SQL.format(n=ACCOUNTS).split()))
        tokens = f"{stack.folder}/tokens"
        with open(tokens, "w", encoding="ascii") as file:
            file.writelines(f"{i}\tload{i}\tload-{i}\n" for i in range(1, ACCOUNTS + 1))
        ada = stack.person("ada")
        pid = int(stack.sh('pidfile_pid "$DATA/run/gateway-1.pid"'))

        def read(source):
            return ask(stack.address, "TimelineService/GetHomeTimeline", {"pageSize": 10}, ada.token, source)

        load = Load(stack, tokens, pid)
        load.run(2000, 4, 100)  # sessions and caches
        best = load.run(CALLS // 3, 4, 100)
        calm = Honest("127.0.0.2", read).calm()
        with Honest("127.0.0.2", read, pid=pid) as honest:
            goodput = load.run(CALLS, 40, 10_000)
        note(f"at most {honest.most_kib} KiB resident")
        check("it goes on serving nearly as many as at its best", goodput >= GOODPUT * best, (goodput, best))
        check("what is not served is said to be too much", set(load.status) <= {"OK", "RESOURCE_EXHAUSTED"}, load.status)
        honest.check("who calls once at a time is not refused", calm)
        if "asan" in BUILD:
            note("memory is not looked at: the sanitizer keeps what is freed")
        else:
            check("memory stays within bounds", honest.most_kib <= RSS_KIB, honest.most_kib)
        load.run(CALLS // 3, 4, 100)
        check("afterwards all is served again", set(load.status) == {"OK"}, load.status)
    done_testing()


main()

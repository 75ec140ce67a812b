#!/usr/bin/python3
"""/metrics: every family that an operator is promised is there after a short story, and the ones it moves have moved."""
import os
import sys
import urllib.error

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from stack import GATEWAY, STACK, Person, check, done_testing, eventually, metrics, metrics_address, page  # noqa: E402

# What for, where, and the families, of which at least one series must be there.
PROMISED = [
    ("requests by method and status", "gateway", ["rookery_rpc_requests_total"]),
    ("their latency", "gateway", ["rookery_rpc_duration_seconds_bucket"]),
    ("commits", "both", ["rookery_pg_commits_total"]),
    ("batch sizes", "gateway", ["rookery_pg_batch_rows_bucket"]),
    ("batch sizes of events", "worker", ["rookery_event_batch_size_bucket"]),
    ("the backlog of a role and its age", "worker", ["rookery_backlog_entries", "rookery_backlog_oldest_age_seconds"]),
    ("the parts of the backlog", "worker", ["rookery_backlog_lag_entries", "rookery_backlog_pending_entries",
                                            "rookery_backlog_unpublished_entries"]),
    ("dead letters", "worker", ["rookery_dead_letters_total", "rookery_dead_letters_kept"]),
    ("deliveries", "worker", ["rookery_deliveries_total", "rookery_deliveries_dropped_total"]),
    ("timeline reads and rebuilds", "gateway", ["rookery_timeline_reads_total", "rookery_timeline_rebuilds_total"]),
    ("live subscribers", "gateway", ["rookery_live_subscribers"]),
    ("queue depths", "both", ["rookery_pg_queued", "rookery_pg_in_flight", "rookery_redis_unsent_bytes",
                              "rookery_rpc_in_flight", "rookery_outbox_unmarked"]),
    ("drops", "gateway", ["rookery_http_connections_refused_total", "rookery_live_dropped_total"]),
    ("reconnects", "both", ["rookery_pg_reconnects_total", "rookery_redis_reconnects_total"]),
]


def family(page, name):
    return {series: value for series, value in page.items() if series.split("{")[0] == name}


def worker_pages():
    with open(f"{STACK}/run/metrics", encoding="utf-8") as file:
        return [metrics(line.strip()) for line in file.readlines()[1:]]


def story():
    ada, bob = Person("ada"), Person("bob")
    bob.follow(ada)
    bob.home()
    post = ada.post("measured")
    check("the story runs", eventually(lambda: bob.home() == [post]))


def status(address, path):
    try:
        page(address, path)
        return 200
    except urllib.error.HTTPError as error:
        return error.code


def places():
    operators = metrics_address(GATEWAY)
    check("metrics have an address of their own", operators != GATEWAY, operators)
    for path in ("/healthz", "/readyz"):
        check(f"{path} is for clients and for operators", [status(a, path) for a in (GATEWAY, operators)] == [200, 200])
    check("/metrics is for operators only", [status(a, "/metrics") for a in (GATEWAY, operators)] == [404, 200])


def main():
    places()
    story()
    gateway, workers = metrics(GATEWAY), worker_pages()
    for what, where, families in PROMISED:
        pages = ([gateway] if where != "worker" else []) + (workers if where != "gateway" else [])
        missing = [name for name in families for page in pages if not family(page, name)]
        check(f"{what}: on /metrics of {where}", not missing, missing)
    asked = {series: value for series, value in family(gateway, "rookery_rpc_requests_total").items()
             if "PostService/CreatePost" in series}
    check("a request is counted by method and status", any('"OK"' in series and value >= 1
                                                         for series, value in asked.items()), asked)
    check("a delivery is counted", eventually(lambda: sum(sum(family(page, "rookery_deliveries_total").values())
                                                          for page in worker_pages()) >= 1))
    done_testing()


main()

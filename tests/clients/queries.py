#!/usr/bin/python3
"""Datasets from queries: for analysts only, on the views of the schema analytics only, and nothing else whatever is tried.

Prints TAP. Needs scripts/test's stack, and the stubs on PYTHONPATH.
"""
import os
import sys

import grpc
from rookery.v1 import job_pb2 as jp, post_pb2, post_pb2_grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs import Jobs, linear  # noqa: E402
from stack import sql, worker  # noqa: E402
from tap import check, done_testing, fails_with  # noqa: E402

DENIED = grpc.StatusCode.PERMISSION_DENIED
channel = grpc.insecure_channel(os.environ["ROOKERY_GATEWAY"])


def ask(person, query, key=""):
    return person.stub.CreateDatasetFromQuery(jp.CreateDatasetFromQueryRequest(
        name="asked", query=query, idempotency_key=key or query[:64]), **person.me).dataset


def answer(person, query, key=""):
    return person.settled(ask(person, query, key).id)


def grant_story(ada):
    fails_with("queries are for analysts", DENIED, lambda: ask(ada, "SELECT 1"), "analysts")
    done = worker("grant", ada.handle, "analyst")
    check("an operator grants it", done.returncode == 0 and f"@{ada.handle} is an analyst" in done.stdout, done)
    check("the handle may be written as people write it", worker("grant", f"@{ada.handle.upper()}", "analyst").returncode == 0)
    check("a handle that is none is a sentence", worker("grant", "nobody_at_all", "analyst").returncode == 1)
    done = worker("grant", "no handle", "analyst")
    check("so is what can be none", done.returncode == 1 and "a handle must be 1 to 30 of a-z" in done.stderr, done)
    check("so is a permission that is none", worker("grant", ada.handle, "king").returncode == 2)


def view_story(ada):
    posts = post_pb2_grpc.PostServiceStub(channel)
    for text in ("#one", "#one #two", "none"):
        posts.CreatePost(post_pb2.CreatePostRequest(text=text), **ada.me)
    got = answer(ada, f"SELECT hashtag, count(*) AS posts FROM post_hashtags h JOIN posts p ON p.id = h.post_id"
                      f" WHERE author_id = {ada.id} GROUP BY 1 ORDER BY 1")
    check("a query makes a dataset", got.dataset.state == jp.DATASET_STATE_READY and got.dataset.row_count == 2, got)
    check("of the query's columns and values", [(c.name, c.type, list(c.slices)) for c in got.columns] == [
        ("hashtag", jp.COLUMN_TYPE_TEXT, ["one", "two"]), ("posts", jp.COLUMN_TYPE_INTEGER, ["1", "2"])], got)
    check("its owner is shown the query", got.query.startswith("SELECT hashtag"), got.query)
    for view in ("accounts", "posts", "post_hashtags", "likes", "follows"):
        got = answer(ada, f"SELECT * FROM {view} LIMIT 5")
        check(f"the view {view} can be read", got.dataset.state == jp.DATASET_STATE_READY, got.dataset.error)
    got = answer(ada, "SELECT 1 AS i, NULL::int AS gap, true AS yes, 'NA' AS text, 'NaN'::float8 AS nan, 1.5::numeric AS n,"
                      " 'a \"quote\", a comma' AS odd, '12' AS digits")
    kinds = [(c.name, c.type, c.missing_count) for c in got.columns]
    whole, text = jp.COLUMN_TYPE_INTEGER, jp.COLUMN_TYPE_TEXT
    check("numbers, texts, booleans and what is missing are told apart", kinds == [
        ("i", whole, 0), ("gap", whole, 1), ("yes", whole, 0), ("text", text, 0), ("nan", whole, 1),
        ("n", jp.COLUMN_TYPE_DOUBLE, 0), ("odd", text, 0), ("digits", text, 0)], kinds)
    check("texts come as they are", list(got.columns[6].slices) == ['a "quote", a comma'], got.columns[6])
    same = ask(ada, "SELECT 1", "key")
    check("the same key gives the same dataset", ask(ada, "SELECT 1", "key").id == same.id)
    fails_with("the same key for another query is refused", grpc.StatusCode.FAILED_PRECONDITION,
               lambda: ask(ada, "SELECT 2", "key"), "idempotency_key")
    table = answer(ada, "SELECT g % 3 AS k, g AS x, 2 * g + 1 AS y FROM generate_series(1, 60) g")
    job = ada.ended(ada.create(table.dataset.id, linear("y", ["x"], ["k"], wide=True)).id)
    rows = ada.result(job.id).decode().splitlines()
    check("a job runs on it", [row.split(",")[0] for row in rows[1:]] == ["0", "1", "2"], rows)


def forbidden_story(ada):
    own = f"accounts WHERE id = {ada.id}"
    attempts = [
        "SELECT * FROM public.accounts", "SELECT * FROM public.sessions", "SELECT * FROM public.blocks",
        "SELECT * FROM public.mutes", "SELECT * FROM public.secrets", "SELECT * FROM public.datasets",
        "SELECT text FROM public.posts", "SELECT password_hash FROM " + own, "SELECT rolpassword FROM pg_authid",
        "INSERT INTO analytics.posts (id) VALUES (1)", "DELETE FROM public.posts", "UPDATE public.accounts SET bio = ''",
        "WITH gone AS (DELETE FROM public.posts RETURNING id) SELECT id FROM gone",
        "CREATE TABLE mine (a int)", "CREATE TEMP TABLE mine (a int)", "DROP VIEW analytics.posts",
        "SELECT 1; SELECT 2", "SELECT 1; COMMIT; DELETE FROM public.posts", "COMMIT", "BEGIN READ WRITE",
        "SET ROLE rookery", "SET SESSION AUTHORIZATION rookery", "SELECT set_config('role', 'rookery', false)",
        "SELECT set_config('transaction_read_only', 'off', false)", "RESET ROLE",
        "COPY (SELECT 1) TO STDOUT", "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')",
        "SELECT let_read_analytics('rookery_analyst')", "SELECT public.let_read_analytics('rookery')",
        "DO $$ BEGIN PERFORM 1; END $$", "NOTIFY somebody", "LISTEN somebody", "VACUUM", "SELECT", "SELECTED 1",
        "SELECT lo_import('/etc/passwd')", "SELECT nextval('public.redis_epochs_epoch_seq')", "EXECUTE role_let_read",
    ]
    before = sql("SELECT count(*) FROM posts")
    for query in attempts:
        got = answer(ada, query)
        check(f"refused: {query}", got.dataset.state == jp.DATASET_STATE_FAILED and got.dataset.error, got.dataset)
    check("and nothing was changed", sql("SELECT count(*) FROM posts") == before
          and sql("SELECT to_regclass('mine') IS NULL") == [["t"]])
    ask(ada, "SELECT set_config('search_path', 'public', false), lo_create(0)")
    got = answer(ada, "SELECT current_user AS who, current_setting('transaction_read_only') AS only, "
                      "current_setting('search_path') AS path")
    check("each query begins anew, as the analysts' role, read only",
          [list(c.slices) for c in got.columns] == [["rookery_analyst"], ["on"], ["analytics,pg_catalog"]], got)
    check("what it made is not kept", sql("SELECT count(*) FROM pg_largeobject_metadata") == [["0"]])
    fails_with("an empty query is refused at once", grpc.StatusCode.INVALID_ARGUMENT, lambda: ask(ada, " ", "e"), "query")
    fails_with("so is one that is too long", grpc.StatusCode.INVALID_ARGUMENT, lambda: ask(ada, "x" * 20000), "query")


def private_story(ada, bob):
    made = answer(ada, "SELECT 7 AS seven")
    fails_with("a stranger does not see the dataset", grpc.StatusCode.NOT_FOUND, lambda: bob.describe(made.dataset.id))
    ada.stub.ShareDataset(jp.ShareDatasetRequest(dataset_id=made.dataset.id, account_id=bob.id), **ada.me)
    seen = bob.describe(made.dataset.id)
    check("whom it is shared with sees its columns, not its query", seen.query == "" and len(seen.columns) == 1, seen)
    done = worker("revoke", "@" + ada.handle, "analyst")
    check("an operator revokes it", done.returncode == 0 and "is no analyst" in done.stdout, done)
    fails_with("and then it is refused", DENIED, lambda: ask(ada, "SELECT 3"), "analysts")


def main():
    ada, bob = Jobs("ada", channel), Jobs("bob", channel)
    grant_story(ada)
    view_story(ada)
    forbidden_story(ada)
    private_story(ada, bob)
    done_testing()


main()

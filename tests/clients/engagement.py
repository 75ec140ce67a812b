#!/usr/bin/python3
"""Engagement as datasets: what home timelines showed is recorded, and two questions are one job each: does a hashtag's
engagement grow, and which coefficients rank for each cohort of viewers. Starts servers and daemons of its own.

Prints TAP. Needs ROOKERY_BUILD and the stubs on PYTHONPATH.
"""
import csv
import io
import math
import os
import random
import sys
import time

import grpc
from rookery.v1 import (graph_pb2, graph_pb2_grpc, job_pb2 as jp, post_pb2, post_pb2_grpc, timeline_pb2,
                        timeline_pb2_grpc)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs import Jobs, linear  # noqa: E402
from own_stack import Stack  # noqa: E402
from tap import check, done_testing, eventually, fails_with  # noqa: E402

EPOCH_MS = 1704067200000
HOUR = 473_000  # since 1970: in December 2023, or as an id's time in 2024 and later


def id_at(hour, n):
    """A snowflake of that hour."""
    return ((hour * 3_600_000 - EPOCH_MS) << 22) + n


def engagement(person, view, key, start=0, end=0):
    made = person.stub.CreateDatasetFromEngagement(jp.CreateDatasetFromEngagementRequest(
        name=key, view=view, start_hour=start, end_hour=end, idempotency_key=key), **person.me).dataset
    return person.settled(made.id)


def table(person, dataset, spec):
    """A job's result as dicts."""
    job = person.ended(person.create(dataset, spec).id)
    if job.state != jp.JOB_STATE_SUCCEEDED:
        return [{"failed": job.error}]
    return list(csv.DictReader(io.StringIO(person.result(job.id).decode())))


def written(stack):
    return int(stack.sql("SELECT count(*) FROM impressions"))


def recording_story(stack, channel, ada, bob):
    posts, graph = post_pb2_grpc.PostServiceStub(channel), graph_pb2_grpc.GraphServiceStub(channel)
    timelines = timeline_pb2_grpc.TimelineServiceStub(channel)

    def read(person):
        return timelines.GetHomeTimeline(timeline_pb2.GetHomeTimelineRequest(page_size=100), **person.me).items
    graph.Follow(graph_pb2.FollowRequest(account_id=ada.id), **bob.me)
    texts = ("no tag", "one #Tag", "#tag and #more", "liked #tag")
    ids = [posts.CreatePost(post_pb2.CreatePostRequest(text=text), **ada.me).post.id for text in texts]
    eventually(lambda: len(read(bob)) == 4)
    check("what a home timeline showed is recorded", eventually(lambda: written(stack) == 4), written(stack))
    read(bob)
    read(ada)
    posts.Like(post_pb2.LikeRequest(post_id=ids[3]), **bob.me)
    posts.CreatePost(post_pb2.CreatePostRequest(text="re", reply_to_id=ids[1]), **bob.me)
    time.sleep(1.5)
    check("once per viewer, and never one's own",
          stack.sql(f"SELECT count(*) FROM impressions WHERE viewer_id = {bob.id}") == "4"
          and stack.sql(f"SELECT count(*) FROM impressions i JOIN posts p ON p.id = post_id AND viewer_id = author_id") == "0")
    fails_with("engagement is for analysts", grpc.StatusCode.PERMISSION_DENIED,
               lambda: engagement(ada, jp.ENGAGEMENT_VIEW_IMPRESSIONS, "mine"), "analysts")
    stack.sql(f"UPDATE accounts SET analyst = true WHERE id = {ada.id}")
    fails_with("a view must be named", grpc.StatusCode.INVALID_ARGUMENT, lambda: engagement(ada, 0, "none"), "view")
    made = engagement(ada, jp.ENGAGEMENT_VIEW_IMPRESSIONS, "all")
    columns = {c.name: c for c in made.columns}
    check("a row per impression and hashtag", made.dataset.row_count == 5
          and made.dataset.source == jp.DATASET_SOURCE_ENGAGEMENT, made)
    check("with author, cohort, hashtags and outcome", list(columns["author"].slices) == [ada.handle]
          and list(columns["viewer_cohort"].slices) == ["new"] and list(columns["hashtag"].slices) == ["more", "tag"]
          and columns["hashtag"].missing_count == 1 and list(columns["engaged"].slices) == ["0", "1"], made)
    check("and nothing that tells who looked", not any("viewer" in name for name in columns if name != "viewer_cohort"))
    means = table(ada, made.dataset.id, linear("engaged", [], ["hashtag"], wide=True))
    check("the mean engagement per hashtag is a job", {row["hashtag"]: row["intercept"][:6] for row in means}
          == {"more": "0", "tag": "0.6666", "": "0"}, means)


def growth_story(stack, ada):
    """Likes by the hour: 2 more each hour for one tag, as many each hour for the other."""
    grow, flat = id_at(HOUR + 9000, 1), id_at(HOUR + 9000, 2)
    rows = [f"({grow}, {n}, {id_at(HOUR + 9001 + h, n)})" for h in range(10) for n in range(100 * h, 102 * h + 3)]
    rows += [f"({flat}, {n}, {id_at(HOUR + 9001 + h, 5000 + n)})" for h in range(10) for n in range(100 * h, 100 * h + 5)]
    for post, tag in ((grow, "grow"), (flat, "flat")):
        stack.sql(f"INSERT INTO posts (id, author_id, text, thread_id, hashtags) VALUES"
                  f" ({post}, {ada.id}, '#{tag}', {post}, '{{{tag}}}')")
    stack.sql("INSERT INTO likes (post_id, account_id, id) VALUES " + ", ".join(rows))
    made = engagement(ada, jp.ENGAGEMENT_VIEW_HASHTAG_HOURS, "growth", HOUR + 9001, HOUR + 9011)
    check("a row per hashtag and hour, of the hours asked for", made.dataset.row_count == 20, made.dataset)
    fits = table(ada, made.dataset.id, linear("engagement", ["hour"], ["hashtag"], wide=True))
    slopes = {row.get("hashtag"): row.get("hour") for row in fits}
    check("one job says that one hashtag's engagement grows, and the other's does not",
          math.isclose(float(slopes.get("grow", 0)), 2, rel_tol=1e-9)
          and abs(float(slopes.get("flat", 1))) < 1e-9, fits)


def ranking_story(stack, ada):
    """Casual viewers like long posts, avid ones short ones."""
    chance = random.Random(7)
    first = id_at(HOUR + 8000, 0)
    lengths = [10 * (i + 1) for i in range(20)]
    stack.sql("INSERT INTO posts (id, author_id, text, thread_id) VALUES " + ", ".join(
        f"({first + i}, {ada.id}, repeat('x', {n}), {first + i})" for i, n in enumerate(lengths)))
    people = [(id_at(HOUR + 1000, 100 + i), 5 if i < 40 else 300) for i in range(80)]
    stack.sql("INSERT INTO accounts (id, handle, display_name, password_hash) VALUES " + ", ".join(
        f"({person}, 'viewer{i}', 'viewer', '')" for i, (person, _) in enumerate(people)))
    stack.sql("INSERT INTO account_stats (account_id, following_count) VALUES " + ", ".join(
        f"({person}, {follows})" for person, follows in people))
    seen, liked = [], []
    for person, follows in people:
        for i, n in enumerate(lengths):
            shown = f"to_timestamp({(HOUR + 8000 + 1 + i % 5) * 3600})"
            seen.append(f"({first + i}, {person}, {shown})")
            taste = (n - 105) / 40 * (1 if follows < 20 else -1)
            if chance.random() < 1 / (1 + math.exp(-taste)):
                liked.append(f"({first + i}, {person}, {id_at(HOUR + 8010, len(liked))})")
    stack.sql("INSERT INTO impressions (post_id, viewer_id, shown_at) VALUES " + ", ".join(seen))
    stack.sql("INSERT INTO likes (post_id, account_id, id) VALUES " + ", ".join(liked))
    made = engagement(ada, jp.ENGAGEMENT_VIEW_IMPRESSIONS, "ranking", HOUR + 8000, HOUR + 8100)
    spec = jp.JobSpec(logistic=jp.LogisticModel(regression=jp.Regression(
        y="engaged", x=["characters", "post_age_minutes"], slice_by=["viewer_cohort"])))
    fits = table(ada, made.dataset.id, spec)
    terms = {(row.get("viewer_cohort"), row.get("term")): row for row in fits}
    casual, avid = terms.get(("casual", "characters"), {}), terms.get(("avid", "characters"), {})
    check("one job fits ranking coefficients for each cohort", made.dataset.row_count == 1600
          and casual.get("status") == avid.get("status") == "ok", fits)
    check("and finds each cohort's taste", 0.015 < float(casual.get("estimate", 0)) < 0.04
          and -0.04 < float(avid.get("estimate", 0)) < -0.015, (casual, avid))


def main():
    with Stack() as stack:
        stack.gateway(ROOKERY_IMPRESSION_SAMPLE=1000)
        stack.worker("worker-1")
        channel = grpc.insecure_channel(f"{stack.address[0]}:{stack.address[1]}")
        ada, bob = Jobs("ada", channel), Jobs("bob", channel)
        recording_story(stack, channel, ada, bob)
        growth_story(stack, ada)
        ranking_story(stack, ada)
    done_testing()


main()

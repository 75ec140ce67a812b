#!/usr/bin/python3
"""Jobs of JobService: the whole story on the penguins, the same bytes as the command line prints, specs that are refused,
cancelling; and that nobody else can do any of it.

Prints TAP. Needs ROOKERY_GATEWAY (with workers behind it), ROOKERY_BUILD and the stubs on PYTHONPATH.
"""
import csv
import io
import os
import sys
import time

import grpc
from rookery.v1 import job_pb2 as jp

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from tap import check, done_testing, eventually, fails_with, note  # noqa: E402
from jobs import FINAL, Jobs, command_line, linear, many_slices, penguins  # noqa: E402

NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
channel = grpc.insecure_channel(os.environ["ROOKERY_GATEWAY"])
PENGUINS = penguins()
PLAIN = linear("flipper_length_mm", ["bill_length_mm"], ["species"], wide=True)
PLAIN_WORDS = ("fit", "--slice-by", "species", "--y", "flipper_length_mm", "--x", "bill_length_mm", "--wide")


def penguin_story(ada, dataset):
    job = ada.create(dataset, PLAIN, "plain")
    check("a job is made at once", job.dataset_id == dataset and job.spec == PLAIN, job)
    seen = ada.watch(job.id)
    check("watching it ends when it has succeeded", seen[-1].state == jp.JOB_STATE_SUCCEEDED
          and seen[-1].tasks_done == seen[-1].task_count == 1, seen[-1])
    table = ada.result(job.id)
    check("the result is the table that the command line prints, byte for byte",
          table == command_line(PENGUINS, *PLAIN_WORDS), table)
    check("it has a row per species", [r.split(b",")[0] for r in table.splitlines()[1:]]
          == [b"Adelie", b"Chinstrap", b"Gentoo"], table)
    check("the same key gives the same job", ada.create(dataset, PLAIN, "plain").id == job.id)
    fails_with("the same key for another spec is refused", grpc.StatusCode.FAILED_PRECONDITION,
               lambda: ada.create(dataset, linear("year", ["bill_length_mm"]), "plain"), "idempotency_key")
    return job


def options_story(ada, dataset):
    """What a spec may say, each beside the command line's words for it."""
    mass, bill = "body_mass_g", "bill_length_mm,bill_depth_mm"
    xs = bill.split(",")
    by = ("--slice-by", "species,island")
    cases = [
        ("a long table of two slice columns", linear(mass, xs, ["species", "island"]),
         ("--y", mass, "--x", bill, *by)),
        ("robust errors, weights and no intercept",
         linear(mass, xs, ["species"], weights="year", no_intercept=True, robust=True),
         ("--y", mass, "--x", bill, "--slice-by", "species", "--weights", "year", "--no-intercept", "--robust")),
        ("JSON", linear(mass, xs, ["island"], format=jp.RESULT_FORMAT_JSON),
         ("--y", mass, "--x", bill, "--slice-by", "island", "--format", "json")),
        ("knn over the whole table, and another policy for a column",
         linear(mass, xs, ["species"], missing=jp.MISSING_POLICY_KNN, k=3, missing_columns=[
             jp.ColumnPolicy(column="bill_depth_mm", policy=jp.MISSING_POLICY_MEDIAN)]),
         ("--y", mass, "--x", bill, "--slice-by", "species", "--missing", "knn", "--k", "3",
          "--missing-column", "bill_depth_mm=median")),
        ("the mean within the slice", linear(mass, xs, ["species"], missing=jp.MISSING_POLICY_MEAN,
                                             impute_within_slice=True),
         ("--y", mass, "--x", bill, "--slice-by", "species", "--missing", "mean", "--impute-scope", "slice")),
        ("a logistic model of a text", jp.JobSpec(logistic=jp.LogisticModel(regression=jp.Regression(
            y="sex", x=[mass], slice_by=["species"]))),
         ("--model", "logistic", "--y", "sex", "--x", mass, "--slice-by", "species")),
        ("the whole table as one slice", linear(mass, xs, exact=True), ("--y", mass, "--x", bill, "--exact")),
    ]
    for name, spec, words in cases:
        got = ada.ended(ada.create(dataset, spec).id)
        table = ada.result(got.id) if got.state == jp.JOB_STATE_SUCCEEDED else got.error.encode()
        wanted = command_line(PENGUINS, "fit", *words)
        check(f"{name}: as on the command line", table == wanted, f"{table[:600]}\n{wanted[:600]}")


def genomics_story(ada):
    rows = ["variant,state,who"] + [f"v{i % 7},{'ill' if i * i % 5 < 2 else 'well'},p{i % 60}" for i in range(300)]
    content = ("\n".join(rows) + "\n").encode()
    spec = jp.JobSpec(association=jp.AssociationModel(variant="variant", status="state", patient="who", diseased="ill",
                                                      healthy="well", top=3))
    done = ada.ended(ada.create(ada.upload(content, "variants"), spec).id)
    wanted = command_line(content, "associate", "--variant", "variant", "--status", "state", "--patient", "who",
                          "--diseased", "ill", "--healthy", "well", "--top", "3")
    check("association: as on the command line", done.state == jp.JOB_STATE_SUCCEEDED
          and ada.result(done.id) == wanted and wanted.count(b"\n") == 4, done)
    spec.association.diseased = "sick"
    failed = ada.ended(ada.create(ada.upload(content, "variants"), spec).id)
    check("a status that nobody has fails with a sentence",
          failed.state == jp.JOB_STATE_FAILED and '"sick"' in failed.error, failed)
    tpm = ("who,what,tpm\n" + "".join(f"p{i % 9},t{i % 13},{i / 4}\n" for i in range(200)) + "p1,t99,5\n").encode()
    pairs = ("transcript,gene\n" + "".join(f"t{i},g{i // 3}\n" for i in range(13))).encode()
    names = b"gene;symbol\ng0;ALPHA\ng1;BETA\n"
    spec = jp.JobSpec(log2_sum=jp.Log2SumModel(
        patient="who", transcript="what", tpm="tpm", map_dataset_id=ada.upload(pairs, "map"),
        symbols_dataset_id=ada.upload(names, "symbols", jp.CsvDialect(delimiter=";"))))
    done = ada.ended(ada.create(ada.upload(tpm, "tpm"), spec).id)
    wanted = command_line(tpm, "expression", "--patient", "who", "--transcript", "what", "--tpm", "tpm", map=pairs,
                          symbols=names.replace(b";", b","))
    check("log2_sum: as on the command line, each map in its own dialect", done.state == jp.JOB_STATE_SUCCEEDED
          and ada.result(done.id) == wanted and b"BETA" in wanted, done)
    check("what was left out is in its notes", "1 row" in done.notes, done.notes)


def refused_story(ada, dataset):
    def refused(name, spec, field):
        fails_with(f"{name} is refused, by name", INVALID, lambda: ada.create(dataset, spec), field)
    refused("an unknown column", linear("flipper", ["bill_length_mm"]), 'regression.y: "flipper" is not a column')
    refused("an unknown predictor", linear("year", ["bills"]), 'regression.x: "bills"')
    refused("an unknown slice column", linear("year", ["bill_length_mm"], ["specie"]), 'slice_by: "specie"')
    refused("text as a number", linear("island", ["bill_length_mm"]), '"island" holds text')
    refused("text as a predictor", linear("year", ["species"]), 'x: "species" holds text')
    refused("a predictor twice", linear("year", ["bill_length_mm", "bill_length_mm"]), "comes twice")
    refused("the response as predictor", linear("year", ["year"]), "is the response")
    refused("a confidence of 2", linear("year", ["bill_length_mm"], confidence=2), "confidence")
    refused("no response", linear("", ["bill_length_mm"]), "regression.y")
    refused("no model", jp.JobSpec(), "must have a model")
    refused("a policy for no column", linear("year", ["bill_length_mm"], missing_columns=[
        jp.ColumnPolicy(column="x", policy=jp.MISSING_POLICY_MEAN)]), "missing_columns")
    refused("a lacking column of association", jp.JobSpec(association=jp.AssociationModel(
        variant="v", status="sex", patient="species")), 'association.variant: "v"')
    bad = ada.upload(b"a,b\n1\n", "not a csv")
    fails_with("a dataset that failed cannot be used", grpc.StatusCode.FAILED_PRECONDITION,
               lambda: ada.create(bad, linear("a", ["b"])), "cannot be used")
    text = ada.upload(b"k,x,y\n" + b"a,1,2\n" * 50 + b"a,one,2\n", "text in numbers")
    marked = ada.ended(ada.create(text, linear("y", ["x"], ["k"], text_in_numbers=jp.TEXT_IN_NUMBERS_MARK)).id)
    check("a slice with text in its numbers is a row that says so", b"parse_error" in ada.result(marked.id), marked)


def tasks_story(ada):
    """Big enough for several tasks."""
    content = many_slices(300, 1200)
    dataset = ada.upload(content, "several tasks")
    spec = linear("y", ["x", "z"], ["key"], missing=jp.MISSING_POLICY_MEAN)
    job = ada.create(dataset, spec)
    seen = ada.watch(job.id)
    check("a bigger job has several tasks, and succeeds", seen[-1].state == jp.JOB_STATE_SUCCEEDED
          and seen[-1].task_count > 1, seen[-1])
    done = [s.tasks_done for s in seen]
    check("its progress only grows", done == sorted(done) and done[-1] == seen[-1].task_count, done)
    wanted = command_line(content, "fit", "--slice-by", "key", "--y", "y", "--x", "x,z", "--missing", "mean")
    check("its table is the command line's, byte for byte", ada.result(job.id) == wanted)
    again = ada.create(dataset, spec)
    cancelled = ada.cancel(again.id)
    check("a job can be cancelled", cancelled.state == jp.JOB_STATE_CANCELLED and cancelled.HasField("end_time"))
    check("again, which changes nothing", ada.cancel(again.id) == cancelled)
    check("watching a cancelled job ends at once", [j.state for j in ada.watch(again.id)]
          == [jp.JOB_STATE_CANCELLED])
    fails_with("it has no result", grpc.StatusCode.FAILED_PRECONDITION, lambda: ada.result(again.id), "succeeded")
    check("one that has succeeded cannot be cancelled any more",
          ada.cancel(job.id).state == jp.JOB_STATE_SUCCEEDED)
    return job


def rows_story(ada, tasks):
    """Results as rows: of keys that need quotes, and of a table that comes in several pieces."""
    keys = ["plain", 'with, a comma', 'a "quote"', "two\nlines", '""', ""]
    quoted = ['"' + key.replace('"', '""') + '"' for key in keys]
    content = "key,x,y\n" + "".join(f"{key},{i},{i * i}\n" for key in quoted for i in range(4))
    made = ada.upload(content.encode(), "quotes")
    for name, job in (("keys that need quotes", ada.create(made, linear("y", ["x"], ["key"]))), ("many slices", tasks)):
        ada.ended(job.id)
        wanted = list(csv.reader(io.StringIO(ada.result(job.id).decode(), newline="")))
        rows = ada.rows(job.id)
        check(f"{name}: rows are those of the CSV", rows == wanted and len(rows) > 6, rows[:4])
    table = ada.create(made, linear("y", ["x"], ["key"], format=jp.RESULT_FORMAT_JSON))
    ada.ended(table.id)
    fails_with("JSON has no rows", grpc.StatusCode.FAILED_PRECONDITION, lambda: ada.rows(table.id), "JSON")


def deleted_story(ada):
    content = many_slices(5, 10)
    dataset = ada.upload(content, "deleted")
    job = ada.ended(ada.create(dataset, linear("y", ["x"], ["key"])).id)
    ada.stub.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=dataset), **ada.me)
    check("a job's result outlives its dataset", len(ada.result(job.id)) > 100)
    fails_with("but no other job can be made", NOT_FOUND, lambda: ada.create(dataset, linear("y", ["x"])))


def stranger_story(ada, bob, dataset, job):
    """P7: every call about ada's job, made by bob, also when the dataset is shared with him."""
    def refuse_all(who):
        fails_with(f"{who} cannot see it", NOT_FOUND, lambda: bob.get(job.id))
        fails_with(f"{who} cannot watch it", NOT_FOUND, lambda: bob.watch(job.id))
        fails_with(f"{who} cannot cancel it", NOT_FOUND, lambda: bob.cancel(job.id))
        fails_with(f"{who} cannot read its result", NOT_FOUND, lambda: bob.result(job.id))
        check(f"{who} does not find it in their list", job.id not in listed(bob))
    fails_with("a stranger cannot run a job on her dataset", NOT_FOUND, lambda: bob.create(dataset, PLAIN))
    refuse_all("a stranger")
    own = bob.upload(b"transcript,gene\n", "own map")
    fails_with("nor use it as a map", NOT_FOUND, lambda: bob.create(bob.upload(b"p,t,v\na,b,1\n", "tpm"), jp.JobSpec(
        log2_sum=jp.Log2SumModel(patient="p", transcript="t", tpm="v", map_dataset_id=own,
                                 symbols_dataset_id=dataset))), "symbols_dataset_id")
    ada.stub.ShareDataset(jp.ShareDatasetRequest(dataset_id=dataset, account_id=bob.id), **ada.me)
    theirs = bob.ended(bob.create(dataset, PLAIN).id)
    check("whom it is shared with can", bob.result(theirs.id) == ada.result(job.id))
    refuse_all("whom the dataset is shared with")
    fails_with("and their jobs are not the owner's to see", NOT_FOUND, lambda: ada.get(theirs.id))


def listed(who, size=100):
    found, token = [], ""
    while True:
        page = who.stub.ListJobs(jp.ListJobsRequest(page_size=size, page_token=token), **who.me)
        found += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            return found


def quick_story(ada):
    """A job of three slices is all queue; how long it takes is told, not asserted."""
    dataset = ada.upload(many_slices(3, 20), "quick")
    times = []
    for _ in range(15):
        begun = time.monotonic()
        job = ada.create(dataset, linear("y", ["x"], ["key"]))
        ended = ada.watch(job.id)[-1]
        times.append(time.monotonic() - begun)
    check("a job of three slices ends", ended.state == jp.JOB_STATE_SUCCEEDED)
    note(f"three slices, end to end: median {sorted(times)[7] * 1e3:.1f} ms, best {min(times) * 1e3:.1f} ms")


def main():
    ada, bob = Jobs("ada", channel), Jobs("bob", channel)
    dataset = ada.upload(PENGUINS, "penguins")
    job = penguin_story(ada, dataset)
    options_story(ada, dataset)
    genomics_story(ada)
    refused_story(ada, dataset)
    stranger_story(ada, bob, dataset, job)
    rows_story(ada, tasks_story(ada))
    deleted_story(ada)
    quick_story(ada)
    everything = listed(ada)
    check("lists are newest first, the same in small pages",
          everything == sorted(everything, reverse=True) == listed(ada, 3), everything)
    check("nothing is left running", eventually(lambda: all(ada.get(i).state in FINAL for i in everything)))
    done_testing()


main()

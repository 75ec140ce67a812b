#!/usr/bin/python3
"""Datasets of JobService: uploading with resumption and checksum, describing, listing, sharing, deleting; and that nobody
else can do any of it.

Prints TAP. Needs ROOKERY_GATEWAY (with workers behind it) and the stubs on PYTHONPATH.
"""
import hashlib
import os
import sys

import grpc
from rookery.v1 import graph_pb2, graph_pb2_grpc, job_pb2 as jp, job_pb2_grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs import Jobs  # noqa: E402
from tap import PATIENCE_S, check, done_testing, eventually, fails_with  # noqa: E402

NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
channel = grpc.insecure_channel(os.environ["ROOKERY_GATEWAY"])
jobs = job_pb2_grpc.JobServiceStub(channel)

SMALL = b'island,mass,note\nDream,1.5,"a,b"\nBiscoe,2,NA\n,NA,"NA"\nDream,4,\n'


def header(content, key, name="a dataset", **more):
    return jp.UploadDatasetRequest(header=jp.UploadHeader(
        name=name, size_bytes=more.pop("size_bytes", len(content)),
        sha256=more.pop("sha256", hashlib.sha256(content).digest()), idempotency_key=key, **more))


def chunks(content, start=0, size=100_000):
    for at in range(start, len(content), size):
        yield jp.UploadDatasetRequest(chunk=jp.UploadChunk(offset=at, data=content[at:at + size]))


def upload(person, content, key, start=0, **more):
    def messages():
        yield header(content, key, **more)
        yield from chunks(content, start)
    return jobs.UploadDataset(messages(), **person.me).dataset


def describing(ada):
    made = upload(ada, SMALL, "small", name="penguins")
    check("an uploaded dataset has its owner, name and size",
          (made.owner_id, made.name, made.size_bytes) == (ada.id, "penguins", len(SMALL)), made)
    got = ada.settled(made.id)
    check("it becomes ready", got.dataset.state == jp.DATASET_STATE_READY and got.dataset.row_count == 4, got)
    found = [(c.name, c.type, c.missing_count, c.slice_count, c.slice_count_is_exact, list(c.slices))
             for c in got.columns]
    check("types, missing values and slices are described", found == [
        ("island", jp.COLUMN_TYPE_TEXT, 1, 3, True, ["Biscoe", "Dream"]),
        ("mass", jp.COLUMN_TYPE_DOUBLE, 1, 4, True, ["1.5", "2", "4"]),
        ("note", jp.COLUMN_TYPE_TEXT, 2, 3, True, ["NA", "a,b"])], found)
    dialect = jp.CsvDialect(delimiter=";", missing_tokens="-999", column_tokens=[
        jp.ColumnTokens(column="b", missing_tokens="none")])
    other = ada.settled(upload(ada, b"a;b\n-999;none\n3;NA\n", "dialect", dialect=dialect).id)
    check("a dialect of its own is kept and used",
          other.dialect == dialect and [c.missing_count for c in other.columns] == [1, 1], other)
    bad = ada.settled(upload(ada, b"a,b\n1,2\n3,4,5\n", "bad").id)
    check("a bad CSV fails with its line and column",
          bad.dataset.state == jp.DATASET_STATE_FAILED and "line 3" in bad.dataset.error, bad.dataset.error)
    long = "x" + "\u00e9" * 200
    twice = ada.settled(upload(ada, f"{long},{long}\n1,2\n".encode(), "twice").id)
    check("a sentence that had to be cut inside a character is told all the same",
          twice.dataset.state == jp.DATASET_STATE_FAILED and "twice" in twice.dataset.error, twice.dataset.error)
    many = b"n\n" + b"".join(b"%d\n" % i for i in range(2000))
    wide = ada.settled(upload(ada, many, "many").id).columns[0]
    check("slices are counted up to a cap", not wide.slice_count_is_exact and wide.slice_count > 1000
          and list(wide.slices)[:3] == ["0", "1", "2"], wide)
    return made


def resuming(ada):
    content = b"x,y\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(60_000))
    whole = header(content, "resumed")

    def cut():
        yield whole
        yield from chunks(content[:600_000])
    fails_with("an upload that ends early is not complete", INVALID, lambda: jobs.UploadDataset(cut(), **ada.me),
               "goes on from 524288")
    state = jobs.GetUpload(jp.GetUploadRequest(idempotency_key="resumed"), **ada.me)
    check("it says where to go on", (state.next_offset, state.complete) == (524288, False), state)
    check("it is not listed", state.dataset_id not in [d.id for d in listed(ada)])
    fails_with("nor described", NOT_FOUND, lambda: ada.describe(state.dataset_id))
    gap = iter([whole, jp.UploadDatasetRequest(chunk=jp.UploadChunk(offset=524289, data=b"1"))])
    fails_with("a gap is refused, with the offset that would be right", INVALID,
               lambda: jobs.UploadDataset(gap, **ada.me), "524288")
    made = upload(ada, content, "resumed", start=500_000)
    check("it goes on behind what is stored, passing over what it has", made.id == state.dataset_id, made)
    check("and has every row", ada.settled(made.id).dataset.row_count == 60_000)
    again = upload(ada, content, "resumed")
    check("the same upload once more is the same dataset", again.id == made.id)
    fails_with("the same key for other content is refused", grpc.StatusCode.FAILED_PRECONDITION,
               lambda: upload(ada, SMALL, "resumed"), "idempotency_key")


def cutting(ada):
    """The client goes away in mid-stream."""
    content = b"x\n" + b"1234567\n" * 100_000
    sent = []

    def messages():
        yield header(content, "cut")
        for chunk in chunks(content):
            sent.append(chunk.chunk.offset)
            if len(sent) == 6:
                call.cancel()
                return
            yield chunk
    call = jobs.UploadDataset.future(messages(), metadata=ada.me["metadata"], timeout=PATIENCE_S)
    check("the call is cut off", eventually(call.cancelled))
    check("what had come by then is kept", eventually(lambda: jobs.GetUpload(
        jp.GetUploadRequest(idempotency_key="cut"), **ada.me).next_offset == 262144))
    done = upload(ada, content, "cut")
    check("and the same upload succeeds after it", ada.settled(done.id).dataset.row_count == 100_000)


def refusing(ada):
    wrong = hashlib.sha256(b"something else").digest()
    fails_with("a wrong checksum is refused, naming the right one", INVALID,
               lambda: upload(ada, SMALL, "wrong", sha256=wrong), hashlib.sha256(SMALL).hexdigest())
    fails_with("and nothing of it is kept", NOT_FOUND,
               lambda: jobs.GetUpload(jp.GetUploadRequest(idempotency_key="wrong"), **ada.me))
    check("so the key can be used again", upload(ada, SMALL, "wrong").size_bytes == len(SMALL))
    fails_with("more bytes than the header says are refused", INVALID,
               lambda: upload(ada, SMALL, "longer", size_bytes=10), "longer than the 10 bytes")
    fails_with("a name is needed", INVALID, lambda: upload(ada, SMALL, "k", name=""), "name")
    fails_with("a key is needed", INVALID, lambda: upload(ada, SMALL, ""), "idempotency_key")
    fails_with("a checksum is 32 bytes", INVALID, lambda: upload(ada, SMALL, "k", sha256=b"short"), "sha256")
    fails_with("a dataset is not empty", INVALID, lambda: upload(ada, b"", "k"), "size_bytes")
    fails_with("a delimiter is one character", INVALID,
               lambda: upload(ada, SMALL, "k", dialect=jp.CsvDialect(delimiter="||")), "delimiter")
    fails_with("a dataset past the limit is refused, naming it", grpc.StatusCode.RESOURCE_EXHAUSTED,
               lambda: upload(ada, SMALL, "k", size_bytes=1 << 40), "at most 268435456 bytes")
    for i in range(4):
        try:
            upload(ada, SMALL, f"big{i}", size_bytes=268435456 - len(SMALL))
        except grpc.RpcError:
            pass  # it ended early; what is announced counts
    fails_with("all datasets together have a limit", grpc.StatusCode.RESOURCE_EXHAUSTED,
               lambda: upload(ada, SMALL, "one more", size_bytes=1000), "1073741824 bytes together")
    fails_with("the first message must be the header", INVALID,
               lambda: jobs.UploadDataset(chunks(SMALL), **ada.me), "header")
    fails_with("a dataset from a query is for analysts", grpc.StatusCode.PERMISSION_DENIED,
               lambda: jobs.CreateDatasetFromQuery(jp.CreateDatasetFromQueryRequest(
                   name="q", query="SELECT 1", idempotency_key="q"), **ada.me), "analysts")


def listed(person, size=100):
    found, token = [], ""
    while True:
        page = jobs.ListDatasets(jp.ListDatasetsRequest(page_size=size, page_token=token), **person.me)
        found += page.datasets
        token = page.next_page_token
        if not token:
            return found


def stranger_story(ada, bob, made):
    """P7: every call about ada's dataset, made by bob."""
    mine = {"dataset_id": made.id}
    other = {"dataset_id": made.id, "account_id": bob.id}

    def refuse_all(who):
        fails_with(f"{who} cannot describe it", NOT_FOUND, lambda: bob.describe(made.id))
        refuse_writes(who)

    def refuse_writes(who):
        fails_with(f"{who} cannot share it", NOT_FOUND,
                   lambda: jobs.ShareDataset(jp.ShareDatasetRequest(**other), **bob.me))
        fails_with(f"{who} cannot unshare it", NOT_FOUND,
                   lambda: jobs.UnshareDataset(jp.UnshareDatasetRequest(**other), **bob.me))
        fails_with(f"{who} cannot delete it", NOT_FOUND,
                   lambda: jobs.DeleteDataset(jp.DeleteDatasetRequest(**mine), **bob.me))

    refuse_all("a stranger")
    check("a stranger's list does not have it", listed(bob) == [])
    fails_with("a stranger does not see its upload", NOT_FOUND,
               lambda: jobs.GetUpload(jp.GetUploadRequest(idempotency_key="small"), **bob.me))
    jobs.ShareDataset(jp.ShareDatasetRequest(**other), **ada.me)
    jobs.ShareDataset(jp.ShareDatasetRequest(**other), **ada.me)
    seen = bob.describe(made.id)
    check("whom it is shared with can describe it", seen.dataset.id == made.id and len(seen.columns) == 3, seen)
    check("but is not told whom else", list(seen.shared_with) == [] and
          list(ada.describe(made.id).shared_with) == [bob.id])
    check("and finds it in their list", [d.id for d in listed(bob)] == [made.id])
    refuse_writes("whom it is shared with")
    jobs.UnshareDataset(jp.UnshareDatasetRequest(**other), **ada.me)
    refuse_all("who was unshared")
    graph_pb2_grpc.GraphServiceStub(channel).Block(graph_pb2.BlockRequest(account_id=ada.id), **bob.me)
    fails_with("who has blocked its owner is shared nothing", grpc.StatusCode.PERMISSION_DENIED,
               lambda: jobs.ShareDataset(jp.ShareDatasetRequest(**other), **ada.me), "blocked")
    fails_with("an account that is none is shared nothing", NOT_FOUND,
               lambda: jobs.ShareDataset(jp.ShareDatasetRequest(dataset_id=made.id, account_id=1), **ada.me),
               "account_id")


def main():
    ada, bob = Jobs("ada", channel), Jobs("bob", channel)
    made = describing(ada)
    resuming(ada)
    cutting(ada)
    stranger_story(ada, bob, made)
    everything = [d.id for d in listed(ada)]
    check("lists are newest first, the same in small pages",
          everything == sorted(everything, reverse=True) == [d.id for d in listed(ada, 2)], everything)
    jobs.DeleteDataset(jp.DeleteDatasetRequest(dataset_id=made.id), **ada.me)
    fails_with("a deleted dataset is gone", NOT_FOUND, lambda: ada.describe(made.id))
    check("from the list too", made.id not in [d.id for d in listed(ada)])
    refusing(Jobs("rita", channel))
    done_testing()


main()

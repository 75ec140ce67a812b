"""For client tests of JobService: datasets made and uploaded, jobs run to their end, and the same on the command line."""
import hashlib
import os
import random
import secrets
import subprocess
import tempfile

from rookery.v1 import account_pb2, account_pb2_grpc, job_pb2 as jp, job_pb2_grpc
from tap import PATIENCE_S, eventually

FINAL = (jp.JOB_STATE_SUCCEEDED, jp.JOB_STATE_FAILED, jp.JOB_STATE_CANCELLED)
WORKER = os.path.join(os.environ.get("ROOKERY_BUILD", "build"), "rookery-worker")


def penguins():
    """344 rows like the well-known ones: three species of different sizes, gaps, and a text column."""
    given = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared/data/penguins/penguins.csv")
    if os.path.exists(given):
        with open(given, "rb") as file:
            return file.read()
    chance = random.Random(344)
    rows = ["species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year"]
    for species, n, bill, flipper in (("Adelie", 152, 39, 190), ("Chinstrap", 68, 49, 196), ("Gentoo", 124, 47, 217)):
        for i in range(n):
            gap = i in (3, 47)
            cells = [species, chance.choice(["Dream", "Biscoe", "Torgersen"])]
            cells += ["NA" if gap else f"{chance.gauss(bill, 3):.1f}", "NA" if gap else f"{chance.gauss(17, 1):.1f}"]
            cells += ["NA" if gap else str(round(chance.gauss(flipper, 7)))]
            cells += ["NA" if gap else str(round(chance.gauss(4200, 500))), chance.choice(["male", "female", "NA"])]
            rows.append(",".join(cells + [str(2007 + i % 3)]))
    return ("\n".join(rows) + "\n").encode()


def many_slices(slices, rows, seed=1):
    """slices groups of rows rows each, in no order, with a gap here and there."""
    chance = random.Random(seed)
    lines = [f"s{i % slices},{chance.random():.6f},{chance.gauss(0, 1):.4f},{'' if chance.random() < .02 else i}"
             for i in range(slices * rows)]
    chance.shuffle(lines)
    return ("key,x,y,z\n" + "\n".join(lines) + "\n").encode()


class Jobs:
    """A person with an account, who uses JobService. `me` are the arguments of a call of theirs."""

    def __init__(self, name, channel):
        self.handle = f"{name}_{secrets.token_hex(5)}"
        reply = account_pb2_grpc.AccountServiceStub(channel).Register(
            account_pb2.RegisterRequest(handle=self.handle, password="correct horse battery"), timeout=PATIENCE_S)
        self.id = reply.account.id
        self.me = {"metadata": (("authorization", "Bearer " + reply.token),), "timeout": PATIENCE_S}
        self.stub = job_pb2_grpc.JobServiceStub(channel)

    def upload_only(self, content, key, dialect=None):
        def messages():
            yield jp.UploadDatasetRequest(header=jp.UploadHeader(
                name=key, size_bytes=len(content), sha256=hashlib.sha256(content).digest(), dialect=dialect,
                idempotency_key=key))
            for at in range(0, len(content), 500_000):
                yield jp.UploadDatasetRequest(chunk=jp.UploadChunk(offset=at, data=content[at:at + 500_000]))
        return self.stub.UploadDataset(messages(), **self.me).dataset.id

    def upload(self, content, key, dialect=None):
        """And waits until it is ready, or has failed."""
        made = self.upload_only(content, key, dialect)
        self.settled(made)
        return made

    def describe(self, dataset_id):
        return self.stub.DescribeDataset(jp.DescribeDatasetRequest(dataset_id=dataset_id), **self.me)

    def settled(self, dataset_id):
        states = (jp.DATASET_STATE_READY, jp.DATASET_STATE_FAILED)
        eventually(lambda: self.describe(dataset_id).dataset.state in states)
        return self.describe(dataset_id)

    def create(self, dataset_id, spec, key=""):
        return self.stub.CreateJob(jp.CreateJobRequest(dataset_id=dataset_id, spec=spec, idempotency_key=key),
                                   **self.me).job

    def get(self, job_id):
        return self.stub.GetJob(jp.GetJobRequest(job_id=job_id), **self.me).job

    def watch(self, job_id):
        return [reply.job for reply in self.stub.WatchJob(jp.WatchJobRequest(job_id=job_id), **self.me)]

    def ended(self, job_id):
        eventually(lambda: self.get(job_id).state in FINAL)
        return self.get(job_id)

    def cancel(self, job_id):
        return self.stub.CancelJob(jp.CancelJobRequest(job_id=job_id), **self.me).job

    def result(self, job_id):
        return b"".join(r.data for r in self.stub.GetResult(jp.GetResultRequest(job_id=job_id), **self.me))

    def rows(self, job_id):
        """The same, as lists of cells."""
        asked = jp.GetResultRequest(job_id=job_id, as_rows=True)
        return [list(row.cells) for r in self.stub.GetResult(asked, **self.me) for row in r.rows]


def linear(y, x, slice_by=(), **more):
    own = {name: more.pop(name) for name in ("robust", "exact") if name in more}
    form = more.pop("format", 0)
    model = jp.LinearModel(regression=jp.Regression(y=y, x=list(x), slice_by=list(slice_by), **more), **own)
    return jp.JobSpec(linear=model, format=form)


def command_line(content, *words, **files):
    """What `rookery-worker jobs` prints for the same content; files are options that name others, by content."""
    with tempfile.TemporaryDirectory() as folder:
        def put(name, text):
            path = os.path.join(folder, name + ".csv")
            with open(path, "wb") as file:
                file.write(text)
            return path
        words = [words[0], put("content", content), *words[1:]]
        for name, text in files.items():
            words += ["--" + name, put(name, text)]
        done = subprocess.run([WORKER, "jobs", *words], capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else b"failed: " + done.stderr

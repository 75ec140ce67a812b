"""For tests of `rookery-worker jobs`: running it, reading its tables, and where reference data are."""
import csv
import io
import math
import os
import subprocess
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
WORKER = os.path.join(os.environ.get("ROOKERY_BUILD", os.path.join(ROOT, "build")), "rookery-worker")
WORKER = os.path.realpath(os.path.join(ROOT, WORKER))
SCRATCH = tempfile.TemporaryDirectory(prefix="rookery-jobs-test-")


def shared_data(kind):
    """A folder of reference data, or None where there are none: beside the checkout, or beside the repository."""
    places = [os.environ.get("ROOKERY_SHARED", ""), os.path.join(ROOT, "..", "shared")]
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], cwd=ROOT, capture_output=True, text=True)
    if top.returncode == 0:
        places.append(os.path.join(top.stdout.strip(), "..", "shared"))
    for place in places:
        folder = os.path.join(place, "data", kind)
        if place and os.path.isdir(folder):
            return os.path.realpath(folder)
    return None


class Run:
    def __init__(self, words, stdin=None):
        done = subprocess.run([WORKER, "jobs", *map(str, words)], input=stdin, capture_output=True,
                              stdin=subprocess.DEVNULL if stdin is None else None)
        self.status, self.bytes, self.said = done.returncode, done.stdout, done.stderr.decode()

    def __repr__(self):
        return f"status {self.status}, {len(self.bytes)} bytes; {self.said}"

    def rows(self):
        """The table, as dictionaries."""
        assert self.status == 0, self
        return list(csv.DictReader(io.StringIO(self.bytes.decode())))


def jobs(*words, stdin=None):
    return Run(words, stdin)


def path(name):
    """Of a scratch file."""
    return os.path.join(SCRATCH.name, name)


def write(name, text):
    """A scratch file; returns its path."""
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as f:
        f.write(text.encode() if isinstance(text, str) else text)
    return path(name)


def number(text):
    """What a cell says; None for nothing."""
    return None if text in ("", "NA", "NaN", None) else float(text)


def close(ours, right, relative, absolute=0.0):
    """Whether two cells agree: both empty, or numbers within the tolerance."""
    a, b = number(ours), number(right)
    if a is None or b is None:
        return a is None and b is None
    return abs(a - b) <= max(relative * abs(b), absolute)


def digits(ours, right):
    """Digits that agree: -log10 of the relative error, at most 15."""
    error = abs(ours) if right == 0 else abs(ours - right) / abs(right)
    return 15.0 if error <= 1e-15 else -math.log10(error)

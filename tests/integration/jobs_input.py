#!/usr/bin/python3
"""rookery-worker jobs: what it reads. Files as people have them (packed, in UTF-16, several, with row labels, comments,
blanks, decimal commas), maps of genes, and the folder of parts. Prints TAP."""
import glob
import gzip
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs_cli import WORKER, jobs, path, write  # noqa: E402
from tap import check, done_testing  # noqa: E402

SMALL = "g,y,x\n" + "".join(f"{'ab'[i % 2]},{(i * 7) % 11}.5,{i}\n" for i in range(12))
FIT = ("--y", "y", "--x", "x", "--slice-by", "g", "--wide")


def refused(name, run, status, *said):
    """It ends with that status, says all of that in one sentence, and prints nothing."""
    sentences = [line for line in run.said.splitlines() if not line.startswith("(rookery-worker jobs")]
    check(name, run.status == status and run.bytes == b"" and len(sentences) == 1 and
          all(s in run.said for s in said), run)


# --- parts of an earlier run -------------------------------------------------------------------------------
def folder_of_parts():
    table, folder = write("small.csv", SMALL), path("parts")
    cut = ("slice", table, *FIT, "--output-dir", folder, "--part-rows", 1)
    first = jobs(*cut)
    parts = first.bytes.decode().split()
    other = [write("parts/notes.txt", "mine"), write("parts/mine.rkpart", "no part"), parts[0] + ".csv"]
    jobs("fit", parts[0], "--output", other[2])
    before = {f: open(f, "rb").read() for f in glob.glob(folder + "/*")}
    refused("parts of an earlier run are not mixed with new ones", jobs(*cut), 2, "2 parts of an earlier run", "--clear")
    check("and stay", {f: open(f, "rb").read() for f in glob.glob(folder + "/*")} == before)
    bad = write("bad.csv", "g,y,x\na,1,2\na,big,3\n")
    failed = jobs("slice", bad, *FIT, "--output-dir", folder, "--clear")
    check("--clear leaves them too, when the data are bad", failed.status == 1 and
          {f: open(f, "rb").read() for f in glob.glob(folder + "/*")} == before, failed)
    one = write("one.csv", "".join(line + "\n" for line in SMALL.splitlines() if not line.startswith("b")))
    cleared = jobs("slice", one, *FIT, "--output-dir", folder, "--clear", "--part-rows", 1)
    left = sorted(glob.glob(folder + "/*"))
    check("--clear removes the old parts, and nothing else", cleared.status == 0 and
          left == sorted(other + cleared.bytes.decode().split()) and len(left) == 4, [cleared, left])
    check("tables of old parts are pointed out", "1 file named after parts of an earlier run" in cleared.said and
          os.path.basename(other[2]) in cleared.said, cleared)
    os.remove(other[2])
    quiet = jobs("slice", one, *FIT, "--output-dir", path("fresh"), "--clear", "--quiet")
    check("--clear has nothing to do in a new folder", quiet.status == 0 and quiet.said == "", quiet)


def interruption():
    """A run that is told to end leaves no part. It may be done before the signal comes; then again, with more."""
    folder = path("cut")
    for slices in (4000, 16000, 64000):
        table = write("many.csv", "g,y,x\n" + "".join(f"{i % slices},{i % 7},{i % 5}\n" for i in range(slices * 2)))
        words = [WORKER, "jobs", "slice", table, *FIT, "--output-dir", folder, "--part-rows", "1", "--clear", "--quiet"]
        run = subprocess.Popen(words, stdout=subprocess.PIPE)
        run.stdout.readline()  # the first part is there
        run.send_signal(signal.SIGTERM)
        run.stdout.read()
        if run.wait() == -signal.SIGTERM:
            break
    check("an interrupted run ends by the signal, and leaves nothing", run.returncode == -signal.SIGTERM and
          os.listdir(folder) == [], [run.returncode, os.listdir(folder)[:5]])


folder_of_parts()
interruption()
done_testing()

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


# --- maps of genes -----------------------------------------------------------------------------------------
def maps():
    head = "patient_id,transcript_id,tpm\n"
    table = write("tpm.csv", head + "p,ENST1.1,1\np,ENST2.1,2\n")
    other = write("other.csv", head + "p,ENST1.4,1\np,ENST2,2\n")
    plain = write("map.csv", "ENST1.1,G1\nENST2.1,G1\n")
    refused("a map without a header is noticed", jobs("expression", table, "--map", plain), 1, "map.csv, line 1",
            '"ENST1.1" is a transcript of', "tpm.csv", "--no-map-header")
    whole = jobs("expression", table, "--map", plain, "--no-map-header")
    check("--no-map-header reads all of it", whole.bytes == b"patient_id,gene,log2_tpm\np,G1,2\n" and
          whole.said == "", whole)
    headed = write("headed.csv", "transcript,gene\nENST1.1,G1\nENST2.1,G1\n")
    check("as with a header", jobs("expression", table, "--map", headed).bytes == whole.bytes)
    labelled = write("labelled.csv", '"","transcript","gene"\n"1","ENST1.1","G1"\n"2","ENST2.1","G1"\n')
    check("row labels of a map are passed over", jobs("expression", table, "--map", labelled).bytes == whole.bytes)
    refused("where no transcript has a gene, both sides are shown", jobs("expression", other, "--map", headed), 1,
            "no transcript of", '"ENST1.4"', '"ENST1.1"', "--ignore-version")
    refused("also without versions", jobs("expression", write("x.csv", head + "p,uc1,1\n"), "--map",
                                          write("m.csv", "t,g\nENST1,G1\n")), 1, '"uc1"', '"ENST1"', "same identifiers")
    refused("a map of nothing", jobs("expression", table, "--map", write("none.csv", "t,g\n")), 1, "none.csv has no row")
    check("a table of nothing is one", jobs("expression", write("norows.csv", head), "--map", headed).bytes ==
          b"patient_id,gene,log2_tpm\n")
    check("--ignore-version takes ENST1.4 for ENST1.1 and for ENST1",
          jobs("expression", other, "--map", headed, "--ignore-version").bytes == whole.bytes)
    par = write("par.csv", head + "p,ENST1.4_PAR_Y,1\np,ENST1.4,3\n")
    check("a version is at the end only",
          jobs("expression", par, "--map", headed, "--ignore-version").bytes.endswith(b"\np,G1,2\n"))
    refused("a map without a header is noticed by that too", jobs("expression", other, "--map", plain,
                                                                  "--ignore-version"), 1, "--no-map-header")
    three = b"patient_id,gene,log2_tpm,symbol\np,G1,2,TP53\n"
    tabs = write("map.tsv", "ENST1.1\tG1\tTP53\nENST2.1\tG1\t\n")
    check("a map of three columns has symbols; *.tsv is separated by tabs",
          jobs("expression", table, "--map", tabs, "--no-map-header").bytes == three)
    check("whatever the rows are separated by", jobs("expression", write("semi.csv", "patient_id;transcript_id;tpm\n"
          "p;ENST1.1;1\np;ENST2.1;2\n"), "--delimiter", ";", "--map", tabs, "--no-map-header").bytes == three)
    pipes = write("map.txt", "t|g|s\nENST1.1|G1|TP53\nENST2.1|G1|TP53\n")
    check("--map-delimiter", jobs("expression", table, "--map", pipes, "--map-delimiter", "|").bytes == three)
    refused("a map of one column is likely separated by something else", jobs("expression", table, "--map", pipes), 1,
            "1 column;", "--map-delimiter")
    refused("two symbols of a gene", jobs("expression", table, "--map", write("two.tsv", "t\tg\ts\nENST1.1\tG1\tA\n"
                                          "ENST2.1\tG1\tB\n")), 1, "line 3", '"G1" has two symbols')
    names = write("symbols.txt", "G1.7|TP53\nG9|X\n")
    refused("symbols come once", jobs("expression", table, "--map", tabs, "--no-map-header", "--symbols", names), 2,
            "--symbols", "third column")
    own = ("--symbols", names, "--symbols-delimiter", "|")
    check("a file of symbols has options of its own, and --ignore-version reaches it",
          jobs("expression", table, "--map", headed, *own, "--no-symbols-header", "--ignore-version").bytes == three)
    refused("its header is looked at as well", jobs("expression", table, "--map", headed, *own, "--ignore-version"), 1,
            '"G1.7" is a gene of', "--no-symbols-header")


# --- one table, written in many ways -----------------------------------------------------------------------
def row_labels():
    whole = jobs("fit", write("small.csv", SMALL), *FIT).bytes
    lines = SMALL.splitlines()
    pandas = write("pandas.csv", "".join(f"{'' if i == 0 else i - 1},{line}\n" for i, line in enumerate(lines)))
    check("files of pandas, with row labels", jobs("fit", pandas, *FIT).bytes == whole)
    r = write("r.csv", '"","g","y","x"\n' + "".join(f'"{i}","{line[0]}",{line[2:]}\n' for i, line in enumerate(lines[1:])))
    check("and of R", jobs("fit", r, *FIT).bytes == whole)
    gaps = write("gaps.csv", ",x,y\n100,1,\n2,1,5\n,9,1\n99,20,9\n")
    near = jobs("impute", gaps, "--missing", "knn", "--k", "1")
    check("impute keeps them as they are, and does not go by them", near.bytes == b",x,y\n100,1,5\n2,1,5\n,9,1\n99,20,9\n",
          near.bytes)
    check("a missing one is not a gap", jobs("impute", gaps, "--missing", "drop_any").bytes ==
          b",x,y\n2,1,5\n,9,1\n99,20,9\n")
    refused("another empty name is an error", jobs("fit", write("two.csv", ",,y\n1,2,3\n"), "--y", "y"), 1,
            "line 1, column 2", "field 2 is empty")
    refused("nobody can ask for them", jobs("fit", gaps, "--y", "y", "--x", "id"), 2, 'no column "id"')
    check("but with --rename", jobs("fit", pandas, "--y", "y", "--x", "id", "--rename", "=id", "--wide").bytes ==
          jobs("fit", path("small.csv"), "--y", "y", "--x", "id", "--rename", "x=id", "--wide").bytes != b"")


folder_of_parts()
interruption()
maps()
row_labels()
done_testing()

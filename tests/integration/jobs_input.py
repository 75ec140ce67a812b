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


def failure():
    """Parts are written before the slice turns up that does not fit in memory."""
    folder = path("failed")
    rows = "".join(f"{i % 300},{i % 7},{i % 5}\n" for i in range(30000)) + "a,1.5,2\n" * 100000
    table = write("one-too-large.csv", "g,y,x\n" + rows)
    run = jobs("slice", table, *FIT, "--output-dir", folder, "--part-rows", 1, "--memory", "1M")
    check("a run that fails leaves no part, though some were written", run.status == 1 and run.bytes.count(b"\n") > 10 and
          "does not fit in 1 MiB" in run.said and os.listdir(folder) == [], [run, os.listdir(folder)[:5]])


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
          whole.said == "2 rows read, 0 dropped; 1 value of 1 patient\n", whole)
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
    tabbed = write("b.tsv", "x\ty\tt\n1\t2\tSmith, John\n")
    check("a delimiter in a cell of another file is put in quotes", jobs("impute", write("a.csv", "x,y,t\n1,2,a\n,3,b\n"), tabbed,
          "--missing", "mean").bytes == b'x,y,t\n1,2,a\n1,3,b\n1,2,"Smith, John"\n')
    check("so is the point of a number", jobs("impute", write("point.csv", "x.y\n1.2\n2.3\n.4\n"), "--missing", "mean",
          "--delimiter", ".").bytes == b'x.y\n1.2\n2.3\n"1.5".4\n')
    gaps = write("gaps.csv", ",x,y\n100,1,\n2,1,5\n,9,1\n99,20,9\n")
    near = jobs("impute", gaps, "--missing", "knn", "--k", "1")
    check("impute keeps them as they are, and does not go by them", near.bytes == b",x,y\n100,1,5\n2,1,5\n,9,1\n99,20,9\n",
          near.bytes)
    check("a missing one is not a gap", jobs("impute", gaps, "--missing", "drop_any").bytes ==
          b",x,y\n2,1,5\n,9,1\n99,20,9\n")
    refused("another empty name is an error", jobs("fit", write("two.csv", ",,y\n1,2,3\n"), "--y", "y"), 1,
            "line 1, column 2", "field 2 is empty")
    refused("nor for what says that one is missing", jobs("fit", gaps, "--y", "x", "--x", "missingindicator_", "--missing",
                                                          "indicator"), 2, 'no column "missingindicator_"')
    refused("nobody can ask for them", jobs("fit", gaps, "--y", "y", "--x", "id"), 2, 'no column "id"')
    check("but with --rename", jobs("fit", pandas, "--y", "y", "--x", "id", "--rename", "=id", "--wide").bytes ==
          jobs("fit", path("small.csv"), "--y", "y", "--x", "id", "--rename", "x=id", "--wide").bytes != b"")


def packed_files():
    whole = jobs("fit", write("small.csv", SMALL), *FIT)
    packed = gzip.compress(SMALL.encode())
    table = write("small.csv.gz", packed)
    check(".csv.gz", jobs("fit", table, *FIT).bytes == whole.bytes)
    check("on standard input", jobs("fit", "-", *FIT, stdin=packed).bytes == whole.bytes)
    members = gzip.compress(SMALL[:30].encode()) + gzip.compress(b"") + gzip.compress(SMALL[30:].encode())
    check("members that follow one another", jobs("fit", write("members.gz", members), *FIT).bytes == whole.bytes)
    wrong = [run for run in (jobs("fit", "-", *FIT, stdin=packed[:n]) for n in range(2, len(packed), 5))
             if run.status != 1 or run.bytes or "gzip data end too early" not in run.said]
    check("cut short anywhere it is an error", not wrong, wrong[:2])
    broken = [bytearray(packed) for _ in range(20, len(packed), 5)]
    for i, data in enumerate(broken):
        data[20 + i * 5] ^= 0x55
    wrong = [run for run in (jobs("fit", "-", *FIT, stdin=bytes(data)) for data in broken) if run.status != 1 or run.bytes]
    check("damaged anywhere, too", not wrong, wrong[:2])
    filled = b"x,y\n1,2\n3,2\n"
    gaps = gzip.compress(b"x,y\n1,2\n3,\n")
    check("impute reads it twice", jobs("impute", write("gaps.csv.gz", gaps), "--missing", "mean").bytes ==
          jobs("impute", "-", "--missing", "mean", stdin=gaps).bytes == filled)
    rows = "g,y,x\n" + "".join(f"{i % 501},{i * 7919 % 1009},{i % 97}\n" for i in range(120000))
    large = write("large.csv.gz", gzip.compress(rows.encode()))
    runs = {jobs("fit", large, *FIT, "--threads", n, "--memory", m).bytes for n in (1, 3) for m in ("1M", "1G")}
    check("the same bytes for any number of threads, in any memory", runs == {jobs("fit", write("large.csv", rows),
                                                                                   *FIT).bytes})
    os.remove(large)
    part = jobs("slice", path("large.csv"), *FIT, "--output-dir", path("one")).bytes.decode().split()[0]
    with open(part, "rb") as f:
        check("a part may be packed as well", jobs("fit", "-", stdin=gzip.compress(f.read())).bytes == jobs("fit", part).bytes)
    check("and its table", jobs("combine", "-", stdin=gzip.compress(jobs("fit", part).bytes)).bytes == jobs("fit", part).bytes)
    tsv = write("small.tsv.gz", gzip.compress(SMALL.replace(",", "\t").encode()))
    check(".tsv.gz is separated by tabs", jobs("fit", tsv, *FIT).bytes == whole.bytes)
    check("so are .tsv and .tab", all(jobs("fit", write(n, SMALL.replace(",", "\t")), *FIT).bytes == whole.bytes
                                      for n in ("small.tsv", "small.TAB")))
    check("unless --delimiter says otherwise", jobs("fit", write("commas.tsv", SMALL), *FIT, "--delimiter", ",").bytes ==
          whole.bytes)
    wide = SMALL.replace("g,", "\u00e9\U0001F426,", 1)
    there = ("--y", "y", "--x", "x", "--slice-by", "\u00e9\U0001F426", "--wide")
    same = jobs("fit", write("wide.csv", wide), *there)
    for name in ("utf-16-le", "utf-16-be"):
        data = ("\ufeff" + wide).encode(name)
        check(f"{name} with a byte order mark", jobs("fit", "-", *there, stdin=data).bytes == same.bytes != b"")
        check("packed", jobs("fit", "-", *there, stdin=gzip.compress(data)).bytes == same.bytes)
        refused("half a character at its end", jobs("fit", "-", *there, stdin=data + b"x"), 1, "line 14", "not UTF-16")


def several_files():
    whole = jobs("fit", write("small.csv", SMALL), *FIT)
    head, *rows = SMALL.splitlines(keepends=True)
    names = [write(f"day-{i}.csv", head + "".join(rows[i * 4:i * 4 + 4])) for i in range(3)]
    check("several files are one table", jobs("fit", *names, *FIT).bytes == whole.bytes)
    check("in the order in which they are named", jobs("impute", names[1], names[0], "--missing", "mean").bytes ==
          (head + "".join(rows[4:8] + rows[:4])).encode())
    check("a pattern stands for what it matches", jobs("fit", path("day-*.csv"), *FIT).bytes == whole.bytes)
    odd = write("day-[0].csv", "y\n1\n")
    check("a file of that name comes first", jobs("fit", odd, "--y", "y", "--wide", "--quiet").bytes.splitlines()[1][:2] == b"1,")
    check("one of them is packed, another separated by tabs",
          jobs("fit", write("a.csv.gz", gzip.compress((head + "".join(rows[:4])).encode())),
               write("b.tsv", (head + "".join(rows[4:8])).replace(",", "\t")), "-", *FIT,
               stdin=(head + "".join(rows[8:])).encode()).bytes == whole.bytes)
    refused("a pattern that matches nothing", jobs("fit", path("night-*.csv"), *FIT), 1, "night-*.csv", "none that matches")
    refused("a file that is not there is noticed at once", jobs("fit", names[0], "x", *FIT), 1, "x cannot be read", "--x a,b")
    os.symlink(names[0], path("another-name"))
    refused("a file of two names", jobs("fit", names[0], names[1], path("another-name"), *FIT), 2, "another-name", "day-0.csv",
            "are the same file")
    refused("a file that comes twice", jobs("fit", path("day-?.csv"), names[1], *FIT), 2, "day-1.csv is named twice")
    refused("another header", jobs("fit", names[0], write("z.csv", "g,y,z\na,1,2\n"), *FIT), 1, "z.csv, line 1",
            'column 3 is "z"', 'day-0.csv it is "x"')
    refused("fewer columns", jobs("fit", names[0], write("z.csv", "g,y\na,1\n"), *FIT), 1, "z.csv has 2 columns",
            "day-0.csv has 3")
    refused("a bad row is in its file and line", jobs("fit", names[0], write("z.csv", head + "a,1,2\na,big,3\n"), *FIT), 1,
            "z.csv, line 3", 'column "y"', '"big"')
    big = jobs("fit", names[0], write("z.csv", head + "a,1,9007199254740993\n"), *FIT)
    check("a warning is, too", big.status == 0 and "z.csv, line 2" in big.said and "2^53" in big.said, big)
    text = jobs("impute", write("t0.csv", "x,t\n1,2\n2,\n"), write("t1.csv", "x,t\n1,b\n"), "--missing", "mean")
    check("and what impute leaves", "t1.csv, line 2" in text.said, text)
    piped = subprocess.run(f"'{WORKER}' jobs impute <(cat '{names[0]}') <(gzip -c '{names[1]}') --missing mean", shell=True,
                           executable="/bin/bash", capture_output=True)
    check("pipes are read twice as well", piped.stdout == (head + "".join(rows[:8])).encode(), piped)
    parts = jobs("slice", *names, *FIT, "--output-dir", path("of-days")).bytes.decode().split()
    check("slice takes several", jobs("fit", *parts).bytes == whole.bytes)
    refused("a part is fitted alone", jobs("fit", parts[0], names[0]), 2, "is a part", "by itself")
    rows = association()
    halves = [write(f"half-{i}.csv", rows[0] + "".join(rows[1 + i::2])) for i in range(2)]
    check("associate takes several", jobs("associate", *halves, "--top", "all").bytes ==
          jobs("associate", write("rows.csv", "".join(rows)), "--top", "all").bytes != b"")
    tpm = "patient_id,transcript_id,tpm\n"
    check("expression takes several", jobs("expression", write("e0.csv", tpm + "p,t1,1\n"), write("e1.csv", tpm + "p,t2,2\n"),
          "--map", write("m.csv", "t,g\nt1,G\nt2,G\n")).bytes.endswith(b"\np,G,2\n"))


def association():
    return ["variant_id,disease_status,patient_id\n"] + [
        f"v{i % 3},{'diseased' if i % 2 else 'healthy'},p{i // 2}\n" for i in range(40)]


def dialects():
    whole = jobs("fit", write("small.csv", SMALL), *FIT)
    comma = SMALL.replace(",", ";").replace(".", ",")
    check("--decimal ,", jobs("fit", write("comma.csv", comma), *FIT, "--delimiter", ";", "--decimal", ",").bytes == whole.bytes)
    groups = "y;x\n1.234,5;1\n2.000;2\n1234567,25;3\n-1.234.567,5;4\n"
    points = "y;x\n1234.5;1\n2000;2\n1234567.25;3\n-1234567.5;4\n"
    semi = ("--y", "y", "--x", "x", "--delimiter", ";", "--wide")
    straight = jobs("fit", write("points.csv", points), *semi).bytes
    check("--thousands", jobs("fit", write("groups.csv", groups), *semi, "--decimal", ",", "--thousands", ".").bytes ==
          straight != b"")
    spaces = groups.replace(".", "\u202f").replace("2\u202f000", "2\u00a0000")
    check("no-break spaces are spaces", jobs("fit", write("spaces.csv", spaces), *semi, "--decimal", ",", "--thousands",
                                             "space").bytes == straight)
    refused("marks in the wrong places are not a number", jobs("fit", write("odd.csv", "y;x\n1.5;1\n"), *semi, "--decimal",
                                                               ",", "--thousands", "."), 1, '"1.5" is not a number', "-12,5")
    refused("a delimiter within numbers", jobs("fit", path("small.csv"), *FIT, "--decimal", ","), 2, "--decimal",
            'separated by "," too', "--quoted-numbers")
    quoted = 'y,x\n"1,234.5",1\n"2,000",2\n"1,234,567.25",3\n"-1,234,567.5",4\n'
    check("unless they stand in quotes", jobs("fit", write("quoted.csv", quoted), "--y", "y", "--x", "x", "--wide",
                                              "--quoted-numbers", "--thousands", ",").bytes == straight)
    check("impute fills in the same style", jobs("impute", write("gap.csv", "y;x\n1,5;1\n2;2\n;3\n"), "--missing", "mean",
          "--delimiter", ";", "--decimal", ",").bytes == b"y;x\n1,5;1\n2;2\n1,75;3\n")
    check("and in quotes where it must", jobs("impute", write("gap2.csv", 'y,x\n"1,5",1\n2,2\n,3\n'), "--missing", "mean",
          "--quoted-numbers", "--decimal", ",").bytes == b'y,x\n"1,5",1\n2,2\n"1,75",3\n')
    levels = "y;x\n0,0;1\n1,0;2\n0,0;3\n1,0;4\n0,0;5\n1,0;2\n"
    logistic = ("--model", "logistic", "--y", "y", "--x", "x", "--delimiter", ";", "--wide")
    check("a response of 0 and 1 is one in any style", jobs("fit", write("levels.csv", levels), *logistic, "--decimal",
          ",").bytes == jobs("fit", write("levels2.csv", levels.replace(",", ".")), *logistic).bytes != b"")
    model = ("--model", "logistic", "--y", "y", "--x", "x", "--delimiter", ";")
    for one, other in (("2,0", "2"), ("1,5", "1,50")):  # the same number, written in two ways
        text = f"y;x\n{one};1\n0;2\n{other};3\n0;3\n{other};7\n{one};4\n0;8\n{other};1\n"
        pointed = jobs("fit", write("ones2.csv", text.replace(",", ".")), *model, "--wide")
        comma = (write("ones.csv", text), *model, "--decimal", ",")
        check(f"so is one of 0 and {one}", pointed.rows()[0]["status"] == "ok" and
              jobs("fit", *comma, "--wide").bytes == pointed.bytes)
        jobs("slice", *comma, "--output-dir", path("ones"), "--clear")
        parts = [os.path.join(path("ones"), name) for name in os.listdir(path("ones"))]
        check("and in a part", jobs("fit", *parts).bytes == jobs("fit", path("ones2.csv"), *model).bytes != b"", parts)
    loose = "# made by hand, \"today\n\n g , y,\"x\" \n" + SMALL.split("\n", 1)[1].replace(",", " ,\t").replace(
        "\nb", "\n#\n   \nb")
    table = write("loose.csv", loose)
    check("--comment, --trim and --lenient", jobs("fit", table, *FIT, "--comment", "#", "--trim", "--lenient").bytes ==
          whole.bytes, jobs("fit", table, *FIT, "--comment", "#", "--trim", "--lenient"))
    refused("without --lenient a blank line is an error", jobs("fit", table, *FIT, "--comment", "#", "--trim"), 1, "line 2")
    refused("without --trim blanks belong to the cell", jobs("fit", table, *FIT, "--comment", "#", "--lenient"), 1, "line 3",
            "quote")
    refused("without --comment there are none", jobs("fit", table, *FIT, "--trim", "--lenient"), 1, "line")
    refused("lines are counted with all that", jobs("fit", write("late.csv", "#\n\ng,y,x\n\n#\na,big,1\n"), *FIT, "--comment",
                                                    "#", "--lenient"), 1, "line 6", '"big"')
    more = write("more.csv", "y,x\n1,1\n2,2\n4,3\n-9,4\n?,5\nNA,6\n,7\n")
    added = jobs("fit", more, "--y", "y", "--x", "x", "--wide", "--na-add", "-9,?")
    check("--na-add adds to the default", added.rows()[0]["n"] == "3" and added.rows()[0]["n_dropped"] == "4", added)
    tabbed = write("b.tsv", "x\ty\tt\n1\t2\tSmith, John\n")
    check("a delimiter in a cell of another file is put in quotes", jobs("impute", write("a.csv", "x,y,t\n1,2,a\n,3,b\n"), tabbed,
          "--missing", "mean").bytes == b'x,y,t\n1,2,a\n1,3,b\n1,2,"Smith, John"\n')
    check("so is the point of a number", jobs("impute", write("point.csv", "x.y\n1.2\n2.3\n.4\n"), "--missing", "mean",
          "--delimiter", ".").bytes == b'x.y\n1.2\n2.3\n"1.5".4\n')
    gaps = write("gaps.csv", "x;y\n1,5;1\n-9,9;2\n9;3\n2,5;4\n9;9\n")
    check("one of them may have a comma, in quotes", jobs("impute", gaps, "--missing", "mean", "--delimiter", ";", "--decimal",
          ",", "--na-add", 'none,"-9,9"').bytes == b"x;y\n1,5;1\n5,5;2\n9;3\n2,5;4\n9;9\n")
    refused("--na replaces it", jobs("fit", more, "--y", "y", "--x", "x", "--na", "-9,?"), 1, "line 7", '"NA"')


def renaming():
    """Columns called as those of the table, which is refused without it."""
    rows = [f"{'ab'[i % 2]},{i * 7 % 11},{i}\n" for i in range(12)]
    for name in ("n", "status", "term", "n_rows", "r_squared"):
        table = write("clash.csv", f"{name},y,x\n" + "".join(rows))
        refused(f"slices by a column called {name}", jobs("fit", table, "--slice-by", name, "--y", "y", "--x", "x"), 2,
                f'two columns called "{name}"', f"--rename {name}=")
        same = jobs("fit", write("plain.csv", "key,y,x\n" + "".join(rows)), "--slice-by", "key", "--y", "y", "--x", "x").bytes
        check("--rename lets it", jobs("fit", table, "--slice-by", "key", "--y", "y", "--x", "x", "--rename",
                                       f"{name}=key").bytes == same != b"")
    table = write("wide.csv", "n,status,term\n1,1,3\n2,2,1\n4,3,2\n8,4,5\n5,5,1\n")
    run = jobs("fit", table, "--y", "count", "--x", "state,word", "--wide", "--rename", "n=count,status=state", "--rename",
               "term=word")
    check("of the predictors of a wide table too", run.bytes.startswith(b"n,n_dropped,intercept,state,word,r_squared,status\n"), run)
    check("impute writes the new names", jobs("impute", table, "--missing", "mean", "--rename", "n=count").bytes.startswith(
        b"count,status,term\n"))
    halves = [write(f"r{i}.csv", "n,y\n1,2\n2,4\n") for i in range(2)]
    check("in every file", jobs("fit", *halves, "--y", "y", "--x", "k", "--rename", "n=k", "--wide").status == 0)
    refused("a column that is not there", jobs("fit", table, "--y", "n", "--rename", "m=k"), 2, "--rename", 'no column "m"')
    refused("a name that is taken", jobs("fit", table, "--y", "n", "--rename", "term=n"), 2, "--rename", 'two columns called "n"')


folder_of_parts()
failure()
interruption()
maps()
row_labels()
packed_files()
several_files()
dialects()
renaming()
done_testing()

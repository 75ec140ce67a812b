#!/usr/bin/python3
"""rookery-worker jobs: what its commands take and refuse, in which words; files whole or not at all; impute keeps what
was there; associate and expression on small tables checked by hand; pictures. Prints TAP."""
import glob
import itertools
import json
import math
import os
import subprocess
import sys
import xml.dom.minidom
from fractions import Fraction

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs_cli import WORKER, close, jobs, path, write  # noqa: E402
from tap import check, done_testing  # noqa: E402

SMALL = "g,y,x,t\na,1,1,p\na,2,2,q\na,4,3,p\nb,1,5,q\nb,0,6,p\nb,1,7,q\n"


def refused(name, run, status, *said):
    """It ends with that status, says all of that in one sentence, and prints nothing."""
    sentences = [line for line in run.said.splitlines() if not line.startswith("(rookery-worker jobs")]
    check(name, run.status == status and run.bytes == b"" and len(sentences) == 1 and
          all(s in run.said for s in said), run)


# --- arguments -----------------------------------------------------------------------------------------------------
def bad_arguments():
    table = write("small.csv", SMALL)
    fit = ("fit", table, "--y", "y", "--x", "x")
    for words, said in (
            (("fit",), ["no FILE is named"]),
            (("fit", table), ["--y is needed"]),
            (("fit", table, table, "--y", "y"), ["one FILE is wanted"]),
            (("fit", "--y"), ["--y needs a value"]),
            ((*fit, "--speed", "9"), ["there is no option --speed"]),
            ((*fit, "--robust=yes"), ["--robust takes no value"]),
            ((*fit, "--model", "cubic"), ["--model", '"cubic"', "linear", "logistic"]),
            ((*fit, "--missing", "guess"), ["--missing", '"guess"', "drop, drop_any, mean"]),
            ((*fit, "--missing-column", "x"), ["--missing-column", "COLUMN=VALUE"]),
            ((*fit, "--missing-column", "t=mean"), ["the model has no such column"]),
            ((*fit, "--missing-column", "x=drop_any"), ["drop_any is about whole rows"]),
            ((*fit, "--slice-by", "g", "--missing-column", "g=mode"), ["slice column", "jobs impute"]),
            ((*fit, "--k", "0"), ["--k", "whole number from 1"]),
            ((*fit, "--threads", "many"), ["--threads", "whole number from 1"]),
            ((*fit, "--memory", "12"), ["--memory", "at least 1M"]),
            ((*fit, "--memory", "1.5G"), ["--memory", "at least 1M"]),
            ((*fit, "--confidence", "95"), ["--confidence", "between 0 and 1"]),
            ((*fit, "--delimiter", ";;"), ["--delimiter", "one ASCII character"]),
            ((*fit, "--format", "xml"), ["--format", "csv", "json"]),
            ((*fit, "--slice-by", "g,,t"), ["--slice-by", "one of them is empty"]),
            ((*fit, "--slice-by", '"g'), ["--slice-by", "ends with one"]),
            ((*fit, "--slice-by", "g,g"), ["--slice-by", '"g" is named twice']),
            (("fit", table, "--y", "y", "--x", "x,x"), ["--x", '"x" is named twice']),
            (("fit", table, "--y", "y", "--x", "x,y"), ["--x", "cannot explain itself"]),
            (("fit", table, "--y", "z"), ["--y", 'no column "z"', "g, y, x, t"]),
            (("fit", table, "--y", "y", "--x", "missingindicator_x"), ["--x", 'no column "missingindicator_x"']),
            ((*fit, "--weights", "w"), ["--weights", 'no column "w"']),
            ((*fit, "--na-column", "q=-9"), ["--na-column", 'no column "q"']),
            (("fit", table, "--y", "y", "--no-intercept"), ["--no-intercept", "no term is left"]),
            (("fit", table, "--y", "t", "--model", "logistic", "--x", "x", "--missing-column", "t=indicator"),
             ["cannot have a third"]),
            ((*fit, "--model", "logistic", "--robust"), ["--robust", "--model linear"]),
            ((*fit, "--exact", "--model", "logistic"), ["--exact", "--model linear"]),
            ((*fit, "--positive", "1"), ["--positive", "--model logistic"]),
            (("impute", table), ["--missing is needed"]),
            (("impute", table, "--missing", "drop"), ["drop_any", "--missing-column COL=drop"]),
            (("impute", table, "--missing", "mean", "--impute-scope", "slice"), ["need each other"]),
            (("slice", table, "--y", "y"), ["--output-dir is needed"]),
            (("combine",), ["no FILE is named"]),
            (("combine", "-", "-"), ["only once"]),
            (("expression", table), ["--map is needed"]),
            (("associate", table), ["--variant", 'no column "variant_id"']),
            (("associate", table, "--diseased", "x", "--healthy", "x"), ["name the same value"]),
            (("associate", table, "--top", "0"), ["--top", "whole number from 1"])):
        refused(f"usage: {' '.join(words).replace(table, 'FILE')}", jobs(*words), 2, *said)
    clash = write("clash.csv", "n,y\n1,2\n")
    refused("usage: a slice column whose name the table has already", jobs("fit", clash, "--slice-by", "n", "--y",
                                                                           "y"), 2,
            'two columns called "n"')
    named = write("intercept.csv", "y,intercept\n1,1\n2,2\n4,3\n")
    refused("usage: a predictor called as the model's own term", jobs("fit", named, "--y", "y", "--x", "intercept"), 2,
            'two terms called "intercept"')
    check("which is fine where the model has none", jobs("fit", named, "--y", "y", "--x", "intercept", "--no-intercept").status == 0)
    check("no command, and an unknown one, list what there is",
          all(r.status == 2 and "impute" in r.said for r in (jobs(), jobs("regress", "x.csv"))))
    for command in ("fit", "impute", "associate", "expression", "slice", "combine"):
        told = jobs(command, "--help")
        check(f"{command} --help explains it", told.status == 0 and told.said == "" and
              told.bytes.startswith(f"Usage: rookery-worker jobs {command}".encode()) and b"--" in told.bytes, told)


def files_and_lists():
    table = write("small.csv", SMALL)
    fit = ("--y", "y", "--x", "x", "--slice-by", "g", "--wide")
    whole = jobs("fit", table, *fit)
    check("- is standard input", jobs("fit", "-", *fit, stdin=SMALL.encode()).bytes == whole.bytes)
    check("options may stand before the file, with = or not", jobs("fit", "--y=y", "--x=x", "--slice-by=g", "--wide",
                                                                  "--", table).bytes == whole.bytes)
    out = path("out.csv")
    done = jobs("fit", table, *fit, "--output", out)
    with open(out, "rb") as f:
        check("--output writes the same", f.read() == whole.bytes and done.bytes == b"", done)
    write("bad.csv", "g,y,x\na,1,1\na,2\n")
    failed = jobs("fit", path("bad.csv"), *fit, "--output", out)
    with open(out, "rb") as f:
        check("a job that fails leaves the old file as it was, and nothing beside it",
              failed.status == 1 and f.read() == whole.bytes and glob.glob(out + ".*") == [], failed)
    refused("a folder that is not there", jobs("fit", table, *fit, "--output", path("no/where.csv")), 1,
            "where.csv cannot be written")
    refused("a file that is not there", jobs("fit", path("none.csv"), *fit), 1, "none.csv cannot be read")
    refused("a folder is no file", jobs("fit", path("."), *fit), 1, "is a folder")
    odd = write("odd.csv", '"a,b","say ""x""",y\n1,1,2\n1,2,4\n1,3,7\n')
    quoted = jobs("fit", odd, "--y", "y", "--x", '"say ""x"""', "--slice-by", '"a,b"', "--wide")
    check("names that hold commas and quotes",
          quoted.bytes.startswith(b'"a,b",n,n_dropped,intercept,"say ""x""",'), quoted)
    tabs = write("tabs.tsv", SMALL.replace(",", "\t"))
    check("another delimiter", jobs("fit", tabs, *fit, "--delimiter", "tab").bytes == whole.bytes)
    nobody = subprocess.run(f"'{WORKER}' jobs fit '{table}' --y y --x x >/dev/full", shell=True, capture_output=True)
    check("a full disk is said", nobody.returncode == 1 and b"could not be written: No space left" in nobody.stderr,
          nobody.stderr)


# --- data ----------------------------------------------------------------------------------------------------------
def bad_data():
    fit = ("--y", "y", "--x", "x", "--slice-by", "g")
    for name, text, said in (
            ("a short row", "g,y,x\na,1,2\na,1\n", ["line 3", "2 fields", "the header has 3"]),
            ("a long row", "g,y,x\na,1,2,3\n", ["line 2, column 7", "4 fields"]),
            ("an empty line", "g,y,x\na,1,2\n\n", ["line 3", "the line is empty"]),
            ("a name that comes twice", "g,y,x,y\na,1,2,3\n", ["line 1", '"y" twice']),
            ("an empty name", "g,,x\na,1,2\n", ["line 1, column 3", "is empty"]),
            ("an open quote", 'g,y,x\na,"1,2\na,3,4\n', ["line 2, column 3", "never closed"]),
            ("a quote inside a field", 'g,y,x\na,1"2,2\n', ["line 2, column 4", "quote"]),
            ("text behind a quote", 'g,y,x\n"a"b,1,2\n', ["line 2, column 4", "after a closing quote"]),
            ("a lone carriage return", "g,y,x\na,1\r,2\n", ["line 2, column 4", "carriage return"]),
            ("a NUL", "g,y,x\na,1,\0\n", ["line 2, column 5", "NUL"]),
            ("bad UTF-8", b"g,y,x\na,1,\xff\n", ["line 2, column 5", "0xFF"]),
            ("text where a number is wanted", "g,y,x\na,1,2\na,big,3\n", ["line 3", 'column "y"', '"big"',
                                                                          "not a number"]),
            ("a number in quotes", 'g,y,x\na,1,"2"\n', ["line 2", 'column "x"', "in quotes"]),
            ("no rows and no header", "", ["line 1", "empty"])):
        refused(f"data: {name}", jobs("fit", write("bad.csv", text), *fit), 1, *said)
    weighed = write("weights.csv", "g,y,x,w\na,1,1,1\na,2,3,0\na,4,3,2\na,5,5,1\nb,1,1,1\nb,2,2,-0.5\nb,4,3,1\nb,6,5,1\n")
    refused("data: a negative weight", jobs("fit", weighed, *fit, "--weights", "w"), 1, "line 7", 'column "w"', '"-0.5" is negative',
            "a weight is 0 or more")
    marked = jobs("fit", weighed, *fit, "--weights", "w", "--wide", "--bad-text", "mark", "--quiet").rows()
    check("--bad-text says what becomes of it", [r["status"] for r in marked] == ["ok", "parse_error"] and
          jobs("fit", weighed, *fit, "--weights", "w", "--wide", "--bad-text", "missing", "--quiet").rows()[1]["n_dropped"] == "1", marked)
    check("one of 0 is fine", marked[0]["n"] == "3", marked)
    quoted = write("quoted.csv", '"g","y","x"\n"a","1","1"\n"a","2","2"\n"a","4","3"\n"a","3",""\n"a","NA","4"\n"a","-9","5"\n')
    run = jobs("fit", quoted, *fit, "--wide", "--quoted-numbers", "--na", ",NA,-9", "--quiet")
    check("with --quoted-numbers a quoted gap is one", run.status == 0 and run.rows()[0]["n"] == "3" and
          run.rows()[0]["n_dropped"] == "3", run)
    refused("which --na names", jobs("fit", quoted, *fit, "--quoted-numbers", "--na", "NA"), 1, "line 5", 'column "x"', '""')
    text = "g,y,x\n" + "".join(f"a,{i},{i * i}\n" for i in range(5)) + "b,1,2\nb,?,3\nb,4,5\nb,6,6.5\n"
    table = write("marks.csv", text)
    marked = {r["g"]: r for r in jobs("fit", table, *fit, "--wide", "--bad-text", "mark", "--quiet").rows()}
    check("--bad-text mark: its slice says parse_error, the others are fitted",
          marked["b"]["status"] == "parse_error" and marked["b"]["x"] == "" and marked["a"]["status"] == "ok", marked)
    missing = {r["g"]: r for r in jobs("fit", table, *fit, "--wide", "--bad-text", "missing").rows()}
    check("--bad-text missing: as if it said NA", missing["b"]["n_dropped"] == "1" and missing["b"]["status"] == "ok",
          missing)
    tokens = jobs("fit", table, *fit, "--wide", "--na", "?,NA")
    check("--na names it as a text for missing", tokens.rows()[1]["n_dropped"] == "1", tokens)
    namibia = write("namibia.csv", 'g,y\n"NA",1\nNA,2\n"",3\n,4\n')
    keys = jobs("fit", namibia, "--slice-by", "g", "--y", "y", "--wide", "--quiet")
    check('a quoted "NA" is Namibia, a quoted "" is a text, and both differ from a missing key',
          [line.split(b",")[0] for line in keys.bytes.splitlines()[1:]] == [b'""', b'"NA"', b""], keys)
    big = jobs("fit", write("big.csv", "y,x\n9007199254740993,1\n2,2\n3,3\n"), "--y", "y", "--x", "x")
    check("integers past 2^53 are warned of", big.status == 0 and "line 2" in big.said and "2^53" in big.said, big)
    three = write("three.csv", "y,x\nlow,1\nmid,2\nhigh,3\n")
    refused("data: a logistic response of three values", jobs("fit", three, "--y", "y", "--x", "x", "--model",
                                                              "logistic"), 1,
            "two values", '"mid"', "--positive")
    refused("data: a class that no row has", jobs("fit", three, "--y", "y", "--x", "x", "--model", "logistic",
                                                  "--positive",
                                                  "top"), 1, "--positive", '"low"')
    empty = write("gap.csv", "y,x\n1,\n2,NA\n3,\n")
    refused("data: a column that nothing can fill", jobs("fit", empty, "--y", "y", "--x", "x", "--missing", "mean"), 1,
            'column "x"', "no observed value")
    one = write("one.csv", "g,y\n" + "a,1.5\n" * 100000)
    refused("data: one slice alone that does not fit", jobs("fit", one, "--y", "y", "--slice-by", "g", "--memory",
                                                            "1M"), 1,
            "slice g = a alone does not fit in 1 MiB", "--memory")


def parts_and_tables():
    table, parts = write("small.csv", SMALL), path("parts")
    fit = ("--y", "y", "--x", "x", "--slice-by", "g")
    sliced = jobs("slice", table, *fit, "--output-dir", parts, "--part-rows", 1)
    files = sliced.bytes.decode().split()
    check("slice prints the parts' names and says how many", len(files) == 2 and
          files == sorted(glob.glob(parts + "/*")) and
          "2 parts of 2 slices, 6 rows" in sliced.said, sliced)
    for file in files:
        jobs("fit", file, "--output", file + ".csv")
    tables = [f + ".csv" for f in files]
    refused("a part says itself what to fit", jobs("fit", files[0], "--y", "y"), 2, "--y", "is a part")
    refused("the same part twice", jobs("combine", tables[0], tables[1], tables[0]), 1, "slice g = a has come before")
    head, *rows = SMALL.splitlines()
    own = [write(f"own-{g}.csv", "\n".join([head, *(r for r in rows if r.startswith(g + ","))]) + "\n") for g in "ba"]
    for file in own:
        jobs("fit", file, *fit, "--output", file + ".table")
    check("tables of CSV files that somebody else cut by slice combine to that of the whole",
          jobs("combine", *(f + ".table" for f in own)).bytes == jobs("fit", table, *fit).bytes)
    wide = path("wide.csv")
    jobs("fit", table, *fit, "--wide", "--output", wide)
    refused("tables of different jobs", jobs("combine", tables[0], wide), 1, "wide.csv has other columns")
    refused("something else than a table", jobs("combine", table), 1, "small.csv is not a table of jobs fit")
    refused("a table that is not there", jobs("combine", path("none.csv")), 1, "none.csv cannot be read")
    with open(files[0], "rb") as f:
        part = f.read()
    wrong = []
    for n in range(8, len(part), 7):
        run = jobs("fit", "-", stdin=part[:n])
        if run.status != 1 or run.bytes or "make the parts again" not in run.said:
            wrong.append((n, run))
    check("a part cut short anywhere is refused", not wrong, wrong[:2])
    damaged = []
    for at in range(12, len(part), 11):
        run = jobs("fit", "-", stdin=part[:at] + bytes([part[at] ^ 0x55]) + part[at + 1:])
        if run.status != 1 or run.bytes:
            damaged.append((at, run))
    check("a part with a changed byte is refused", not damaged, damaged[:2])
    empty = jobs("slice", write("none.csv", "g,y,x\n"), *fit, "--output-dir", path("empty"))
    file = empty.bytes.decode().strip()
    check("a table without rows gives a part whose table is a header",
          jobs("fit", file).bytes == jobs("fit", path("none.csv"), *fit).bytes != b"", empty)
    os.remove(path("none.csv"))


# --- impute --------------------------------------------------------------------------------------------------------
def imputing():
    text = 'g;x;note\r\n"a";1.50;"say ""so"""\r\na;NA;\r\na;2.5;plain\r\nb;;"NA"\r\nb;7;"NA"\r\n'
    table = write("dialect.csv", text)
    filled = jobs("impute", table, "--missing", "mean", "--delimiter", ";")
    check("cells that are there stay as they were written", filled.bytes.decode() ==
          'g;x;note\n"a";1.50;"say ""so"""\na;3.6666666666666665;\na;2.5;plain\nb;3.6666666666666665;"NA"\nb;7;"NA"\n',
          filled.bytes)
    check("and what was filled is said", "x: 2 cells filled by mean" in filled.said, filled)
    check("standard input is read twice too", jobs("impute", "-", "--missing", "mean", "--delimiter", ";",
                                                   stdin=text.encode()).bytes == filled.bytes)
    check("what a policy for numbers leaves is said, and why", "note: 1 cell left missing: the column holds text (line 2), which mean does" in
          filled.said, filled)
    odd = jobs("impute", write("odd.csv", "x,y\n1,2\n2,NaN\n3,5\n4,\n"), "--missing", "mean")
    check("also of a column of numbers with one that is not", odd.bytes == b"x,y\n1,2\n2,NaN\n3,5\n4,\n" and
          "y: 1 cell left missing: the column holds text (line 3)" in odd.said and "--na" in odd.said, odd)
    check("which --na mends", jobs("impute", path("odd.csv"), "--missing", "mean", "--na", ",NaN").bytes ==
          b"x,y\n1,2\n2,3.5\n3,5\n4,3.5\n")
    mode = jobs("impute", table, "--missing", "mode", "--delimiter", ";").bytes.decode().splitlines()
    check("a filled text that would read as missing stands in quotes", mode[2] == 'a;1.5;"NA"', mode)
    within = jobs("impute", table, "--missing", "mean", "--impute-scope", "slice", "--slice-by", "g", "--delimiter",
                  ";")
    check("within slices", [line.split(";")[1] for line in within.bytes.decode().splitlines()[1:]] ==
          ["1.50", "2", "2.5", "7", "7"], within)
    lonely = write("lonely.csv", "g,x\na,1\nb,\n")
    left = jobs("impute", lonely, "--missing", "mean", "--impute-scope", "slice", "--slice-by", "g")
    check("a slice without a value keeps its gap, and that is said", left.bytes == b"g,x\na,1\nb,\n" and
          "1 cell left missing" in left.said and "g = b" in left.said, left)
    refused("over the whole table it is an error", jobs("impute", write("void.csv", "x\nNA\nNA\n"), "--missing",
                                                        "mean"), 1, "no observed value")
    refused("mean of a text that was named", jobs("impute", table, "--missing-column", "note=mean", "--delimiter",
                                                  ";"), 1,
            "note=mean", "holds text")
    gaps = write("gaps.csv", "x,y,t\n1,,a\n,2,b\n3,4,\n5,6,c\n")
    check("drop_any leaves out rows with a gap anywhere",
          jobs("impute", gaps, "--missing", "drop_any").bytes == b"x,y,t\n5,6,c\n")
    check("but not for a gap that another policy fills",
          jobs("impute", gaps, "--missing", "drop_any", "--missing-column", "x=mean").bytes == b"x,y,t\n3,2,b\n5,6,c\n")
    check("drop of a column leaves out its gaps alone",
          jobs("impute", gaps, "--missing-column", "t=drop").bytes == b"x,y,t\n1,,a\n,2,b\n5,6,c\n")
    check("indicator adds its columns, and a level for text",
          jobs("impute", gaps, "--missing", "indicator").bytes ==
          b"x,y,t,missingindicator_x,missingindicator_y\n1,4,a,0,1\n3,2,b,1,0\n3,4,__missing__,0,0\n5,6,c,0,0\n")
    rows = "g,x,t\n" + "".join(
        f"{i % 9},{i % 1013 / 8 if i % 7 else ''},{'t' + str(i % 5) if i % 11 else ''}\n" for i in range(90000))
    table = write("large.csv", rows)
    for words in (["median"], ["mode"], ["mean"], ["indicator"], ["mode", "--impute-scope", "slice", "--slice-by", "g"],
                  ["median", "--impute-scope", "slice", "--slice-by", "g"]):
        large, small = (jobs("impute", table, "--missing", *words, "--memory", m) for m in ("1G", "1M"))
        check(f"in little memory the same: {' '.join(words)}", large.status == 0 and
              (large.bytes, large.said) == (small.bytes, small.said), [large, small])
    refused("knn over a table that does not fit says what helps",
            jobs("impute", table, "--missing", "knn", "--memory", "1M"), 1, "knn", "--memory", "--impute-scope slice")


# --- variants ------------------------------------------------------------------------------------------------------
def fisher(a, b, c, d):
    """Two-sided, by adding up."""
    n, row, column = a + b + c + d, a + b, a + c
    def ways(k):
        return Fraction(math.comb(row, k) * math.comb(n - row, column - k), math.comb(n, column))
    here = ways(a)
    return float(sum(w for w in (ways(k) for k in range(max(0, column + row - n), min(row, column) + 1)) if w <= here))


def association_rows():
    """80 diseased and 64 healthy patients; variants of known carriers."""
    rows = ["variant_id,disease_status,patient_id"]
    def carry(variant, sick, well):
        rows.extend(f"{variant},diseased,d{i}" for i in range(sick))
        rows.extend(f"{variant},healthy,h{i}" for i in range(well))
    rows.extend(f",diseased,d{i}" for i in range(80))
    rows.extend(f",healthy,h{i}" for i in range(64))
    carry("half", 45, 0)        # 45/80 is 0.5625: 0.563, where printf says 0.562
    carry("both", 40, 40)
    carry("tie2", 20, 0)
    carry("tie1", 20, 0)
    carry("single", 1, 30)      # one carrier counts as none
    carry("alone", 1, 1)        # none on both sides: left out
    carry("well", 10, 60)
    rows.extend(["half,diseased,d0"] * 5)              # a patient counts once
    rows.extend(f"half,unknown,u{i}" for i in range(9))  # neither side
    return rows


def association():
    rows = association_rows()
    table = write("variants.csv", "\n".join(rows) + "\n")
    run = jobs("associate", table)
    got = [line.split(",") for line in run.bytes.decode().splitlines()]
    check("the first columns are those promised", got[0][:4] == ["variant_id", "diseased_frequency",
                                                                 "healthy_frequency",
                                                                 "frequency_difference"], got[0])
    check("ranked by the unrounded difference, ties by name; rounded from the integers, half away from zero",
          [r[:4] for r in got[1:]] == [["well", "0.125", "0.938", "-0.813"], ["half", "0.563", "0.000", "0.563"],
                                       ["single", "0.000", "0.469", "-0.469"], ["tie1", "0.250", "0.000", "0.250"],
                                       ["tie2", "0.250", "0.000", "0.250"]], got[1:])
    check("counts are of distinct patients, the denominators too", got[2][4:8] == ["45", "80", "0", "64"] and
          got[3][4:8] == ["1", "80", "30", "64"], got[2:4])
    check("Fisher's p is exact", all(close(r[11], str(fisher(int(r[4]), 80 - int(r[4]), int(r[6]), 64 - int(r[6]))),
                                           1e-9)
                                     for r in got[1:]), got)
    everything = jobs("associate", table, "--top", "all").rows()
    check("--top all shows those that are present on a side", [r["variant_id"] for r in everything] ==
          ["well", "half", "single", "tie1", "tie2", "both"], everything)
    loose = jobs("associate", table, "--min-patients", "1", "--top", "all").rows()
    check("--min-patients 1 lets single carriers count", {r["variant_id"] for r in loose} ==
          {"well", "half", "single", "tie1", "tie2", "both", "alone"}, loose)
    shuffled = write("shuffled.csv", "\n".join([rows[0]] + sorted(rows[1:], key=hash)) + "\n")
    check("the order of rows does not matter", jobs("associate", shuffled).bytes == run.bytes)
    renamed = write("renamed.csv", "\n".join(["who,snp,case"] + [",".join([p, v, s.replace("diseased", "1").replace(
        "healthy", "0")]) for v, s, p in (r.split(",") for r in rows[1:])]) + "\n")
    check("columns and values of other names", jobs("associate", renamed, "--variant", "snp", "--status", "case",
                                                    "--patient", "who", "--diseased", "1", "--healthy", "0").bytes ==
          run.bytes)
    as_json = json.loads(jobs("associate", table, "--format", "json").bytes)
    check("in JSON", as_json[0]["variant_id"] == "well" and as_json[0]["frequency_difference"] == -0.813, as_json[:1])
    refused("a status that no row has", jobs("associate", table, "--diseased", "ill"), 1, '"ill"', "--diseased",
            '"unknown"')
    refused("a row without a patient", jobs("associate", write("nobody.csv", rows[0] + "\nv,diseased,\n")), 1, "line 2",
            '"patient_id"', "missing")


# --- transcripts ---------------------------------------------------------------------------------------------------
def expression():
    maps = write("map.csv", "transcript,gene\nt1,g1\nt2,g1\nt2,g2\nt3,g3\nt1,g1\nt5,\n")
    symbols = write("symbols.csv", "gene,symbol\ng1,TP53\ng3,NA\n")
    table = write("tpm.csv", "patient_id,transcript_id,tpm\n10,t1,1.5\n9,t2,NA\n10,t2,2\n9,t9,4\n10,t1,0.5\n9,t5,1\n"
                             "9,t1,3\n9,t3,\n")
    run = jobs("expression", table, "--map", maps)
    want = [("9", "g1", math.log2(4)), ("9", "g2", None), ("9", "g3", None), ("10", "g1", math.log2(5)),
            ("10", "g2", math.log2(3))]
    rows = run.rows()
    check("sum first, log after; a transcript of two genes counts in both; all missing gives nothing; no row, no row",
          [(r["patient_id"], r["gene"]) for r in rows] == [w[:2] for w in want] and
          all(close(r["log2_tpm"], "" if w[2] is None else str(w[2]), 1e-15) for r, w in zip(rows, want)), run.bytes)
    check("the first columns are those promised", run.bytes.startswith(b"patient_id,gene,log2_tpm\n"), run.bytes)
    check("what was left out is counted", "2 rows of 2 transcripts without a gene left out" in run.said and
          "2 rows without a TPM ignored" in run.said, run)
    zero = jobs("expression", table, "--map", maps, "--null-as-zero").rows()
    check("--null-as-zero", [r["log2_tpm"] for r in zero][1:3] == ["0", "0"], zero)
    named = jobs("expression", table, "--map", maps, "--symbols", symbols).rows()
    check("--symbols adds a column, empty where there is none", [r["symbol"] for r in named] == ["TP53", "", "",
                                                                                                 "TP53", ""],
          named)
    lines = [f"p,t{1 + i % 2},{(i * 7919 % 1000003) / 997}" for i in range(500)]
    results = {jobs("expression", write("order.csv", "patient_id,transcript_id,tpm\n" + "\n".join(order) + "\n"),
                    "--map",
                    maps).bytes for order in (lines, lines[::-1], sorted(lines))}
    check("sums do not depend on the order of rows, to the last bit", len(results) == 1, results)
    head = "patient_id,transcript_id,tpm\n"
    refused("a negative TPM", jobs("expression", write("neg.csv", head + "p,t1,1\np,t1,-0.5\n"), "--map", maps), 1,
            "line 3",
            "-0.5", "negative")
    refused("a row without a patient", jobs("expression", write("who.csv", head + ",t1,1\n"), "--map", maps), 1,
            "line 2",
            "patient_id")
    refused("a map of three columns", jobs("expression", table, "--map", write("wide.csv", "a,b,c\n1,2,3\n")), 1,
            "3 columns", "--map")
    refused("a gene with two symbols", jobs("expression", table, "--map", maps, "--symbols",
                                            write("two.csv", "gene,symbol\ng1,A\ng1,B\n")), 1, "line 3", '"g1"')


# --- pictures ----------------------------------------------------------------------------------
def pictures():
    keys = ["plain", "../up", "a/b", "<&>\"'", "ä ö", ".hidden", "x" * 300, "CON", ""]
    rows = itertools.chain.from_iterable(
        ('"{}",{},{}'.format(k.replace('"', '""'), i * (n + 1) + (i * i) % 3, i) for i in range(6)) for n,
        k in enumerate(keys))
    table = write("plots.csv", "g,y,x\n" + "\n".join(rows) + "\nfew,1,1\n")
    folder = path("pictures")
    run = jobs("fit", table, "--y", "y", "--x", "x", "--slice-by", "g", "--plot", folder, "--quiet")
    files = sorted(os.listdir(folder))
    check("a picture per slice and an overview, all in the folder", run.status == 0 and len(files) == len(keys) + 2 and
          "overview.svg" in files and all(f.endswith(".svg") for f in files), [run, files])
    broken, titles = [], []
    for file in files:
        try:
            document = xml.dom.minidom.parse(os.path.join(folder, file))
            titles.append(document.getElementsByTagName("title")[0].firstChild.data)
        except (xml.parsers.expat.ExpatError, IndexError) as e:
            broken.append((file, e))
    check("each is well-formed and has a title", not broken, broken)
    check("that names the slice", "g = <&>\"'" in titles and "g = few" in titles, titles)
    check("the table is the same as without pictures", run.bytes == jobs("fit", table, "--y", "y", "--x", "x",
                                                                         "--slice-by",
                                                                         "g", "--quiet").bytes)
    refused("a folder that cannot be made", jobs("fit", table, "--y", "y", "--plot", path("no/pictures")), 1, "--plot")


def texts_of(folder, file):
    """The texts that a picture shows."""
    document = xml.dom.minidom.parse(os.path.join(folder, file))
    return [t.firstChild.data for t in document.getElementsByTagName("text") if t.firstChild]


def pages_of_pictures():
    keys = [f"run {i:03} of the second expedition, under an overcast sky" for i in range(250)]
    rows = "".join(f'"{k}",Dream,{(7 * i + j * j) % 11},{j},{"ab"[(i + j * j) % 3 > 0]}\n' for j in range(200)
                   for i, k in reversed(list(enumerate(keys))))
    table = write("pages.csv", "run,site,y,x,c\n" + rows)
    fit = ("fit", table, "--x", "x", "--slice-by", "site,run", "--wide")
    refused("little memory is too little for the table", jobs(*fit, "--y", "y", "--memory", "1M", "--scratch-dir", path("none")),
            1, "no temporary file can be made")
    folders = [path("pages"), path("pages_small")]
    runs = [jobs(*fit, "--y", "y", "--plot", folders[0]), jobs(*fit, "--y", "y", "--plot", folders[1], "--memory", "1M")]
    pages = ["overview.svg", "overview-2.svg", "overview-3.svg"]
    check("an overview of 250 slices has three pages, which is said", all(
        r.status == 0 and "250 pictures of slices and 3 pages of overview in" in r.said and
        "overview.svg to overview-3.svg" in r.said for r in runs) and
        sorted(f for f in os.listdir(folders[0]) if f.startswith("overview")) == sorted(pages), runs)
    check("nothing is said with --quiet", jobs(*fit, "--y", "y", "--plot", folders[0], "--quiet").said == "")
    shown = [texts_of(folders[0], page) for page in pages]
    check("panels are called by what tells them apart, in the order of the keys",
          [t for page in shown for t in page if t.startswith("run")] == [f"run {i:03}…" for i in range(250)], shown)
    check("what they share is said above them", all(
        "site = Dream" in page and "panels: run = … of the second expedition, under an overcast sky" in page
        for page in shown), shown)
    whole = [t.firstChild.data for t in xml.dom.minidom.parse(os.path.join(folders[0], pages[1])).getElementsByTagName("title")]
    check("the whole key is a panel's title", f"site = Dream, run = {keys[100]}" in whole, whole)
    links = [[a.getAttribute("href") for a in xml.dom.minidom.parse(os.path.join(folders[0], page)).getElementsByTagName("a")]
             for page in pages]
    check("pages link to those before and behind them", links == [[pages[1]], [pages[0], pages[2]], [pages[1]]], links)
    same = []
    for file in sorted(os.listdir(folders[0])):
        with open(os.path.join(folders[0], file), "rb") as a, open(os.path.join(folders[1], file), "rb") as b:
            same.append(a.read() == b.read())
    check("in little memory pictures are the same, in the same order", len(same) == 253 and all(same), same.count(False))
    folder = path("logistic")
    run = jobs(*fit[:2], "--y", "c", "--x", "x", "--model", "logistic", "--positive", "a", "--plot", folder)
    check("pictures of a logistic fit say which value is 1", run.status == 0 and
          all("P(c = a)" in texts_of(folder, f) for f in ("overview.svg", "slice-all.svg")), run)
    parts = jobs("slice", table, "--y", "c", "--x", "x", "--model", "logistic", "--output-dir", path("plot.parts"))
    folder = path("logistic_part")
    run = jobs("fit", parts.bytes.decode().strip(), "--plot", folder)
    check("also of a part", run.status == 0 and "P(c = b)" in texts_of(folder, "overview.svg"), run)


bad_arguments()
files_and_lists()
bad_data()
parts_and_tables()
imputing()
association()
expression()
pictures()
pages_of_pictures()
done_testing()

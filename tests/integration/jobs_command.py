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
            (("fit", table, table, "--y", "y"), ["small.csv is named twice"]),
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
def spelled_positives():
    """A number is itself however it is written, in one go, in little memory and in parts."""
    plain = "g,y,x\n" + "".join(f"{i % 2},{int(i * i % 7 > i / 6)},{i}\n" for i in range(40))
    ones, zeros = itertools.cycle(["1", "1.0", "1e0", "+1", "10e-1"]), itertools.cycle(["0", "0.0", "-0", "0e5"])
    odd = "\n".join(",".join([g, next(ones) if y == "1" else next(zeros) if y == "0" else y, x])
                    for g, y, x in (line.split(",") for line in plain.splitlines())) + "\n"
    gaps = "0,,3\n1,NA,8\n"
    fit = ("--y", "y", "--x", "x", "--slice-by", "g", "--model", "logistic")
    for name, words in (("the default", []), ("--positive 1", ["--positive", "1"]), ("--positive 1.00", ["--positive", "1.00"]),
                        ("--positive 0", ["--positive", "0"]), ("--positive -0.0", ["--positive=-0.0"]),
                        ("a filled response", ["--positive", "1e0", "--missing", "mode", "--impute-response"]),
                        ("filled by a model", ["--positive", "1e0", "--missing", "logistic", "--impute-response"])):
        one = jobs("fit", write("plain.csv", plain + gaps), *fit, *words)
        table = write("spelled.csv", odd + gaps)
        other = jobs("fit", table, *fit, *words)
        check(f"1, 1.0 and 1e0 are one number: {name}", one.status == 0 and other.bytes == one.bytes and b",ok," in one.bytes, [one, other])
        folder = path("spelled" + name.replace(" ", ""))
        parts = jobs("slice", table, *fit, *words, "--output-dir", folder, "--part-rows", "1").bytes.decode().split()
        for part in parts:
            jobs("fit", part, "--output", part + ".csv")
        check(f"and in parts: {name}", jobs("combine", *(part + ".csv" for part in parts)).bytes == one.bytes, [one, parts])
    many = write("many.csv", "g,y,x\n" + "".join(f"{n}{line[1:]}\n" for n in range(3000) for line in (odd + gaps).splitlines()[1:]))
    words = (*fit, "--positive", "1", "--missing", "mode", "--impute-response")
    large, small = jobs("fit", many, *words), jobs("fit", many, *words, "--memory", "1M")
    check("and in little memory", large.status == 0 and (large.bytes, large.said) == (small.bytes, small.said), [large, small])
    texts = write("texts.csv", "y,x\n1,1\n1.0,2\nno,3\n1,4\nno,5\n")
    run = jobs("fit", texts, "--y", "y", "--x", "x", "--model", "logistic", "--positive", "1.0").rows()
    check("in a column with text they are texts", run[0]["events"] == "1", run)
    numbers = write("numbers.csv", "y,x\n" + "".join(f"{i % 12},{i}\n" for i in range(60)))
    refused("data: a number that no row has, among many", jobs("fit", numbers, "--y", "y", "--x", "x", "--model", "logistic", "--positive",
                                                             "12"), 1, '"12"', "--positive", '"0", "1", "2"')
    refused("data: a text in numbers", jobs("fit", numbers, "--y", "y", "--x", "x", "--model", "logistic", "--positive", "yes"), 1,
            '"yes"', "--positive")
    check("one that some row has is fine", jobs("fit", numbers, "--y", "y", "--x", "x", "--model", "logistic", "--positive", "11.0"
                                                ).rows()[0]["events"] == "5")


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
    edge = ("fit", write("edge.csv", "x,y,w\n1,1.5e308,1e308\n2,-1.5e308,1e308\n3,-1.5e308,1e308\n4,1.5e308,1e308\n5,1.2e308,1e308\n"
                         "6,-1.2e308,1e308\n"), "--y", "y", "--x", "x")
    plain = jobs("fit", write("ordinary.csv", "x,y\n1,1.5\n2,-1.5\n3,-1.5\n4,1.5\n5,1.2\n6,-1.2\n"), "--y", "y", "--x", "x").rows()
    for name, words in (("a response", ()), ("and weights", ("--weights", "w"))):
        rows = jobs(*edge, *words).rows()
        check(f"{name} near the largest double: the same fit in other units", all(
            close(a[c], b[c], 1e-12) for a, b in zip(rows, plain) for c in ("statistic", "p_value", "r_squared", "f_p_value")) and
            all(close(str(float(a["std_error"]) / 1e300), str(float(b["std_error"]) * 1e8), 1e-12) for a, b in zip(rows[1:], plain[1:])),
              rows)
    far = jobs("fit", write("far.csv", "x,y\n.1,1.5e308\n.2,-1.5e308\n.3,-1.5e308\n.4,1.5e308\n.5,1.2e308\n.6,-1.2e308\n"), "--y", "y",
               "--x", "x").rows()
    check("what no double can hold is empty, with all that is made of it", far[2]["estimate"] != "" and all(
        far[2][c] == "" for c in ("std_error", "statistic", "p_value", "conf_low", "conf_high")), far)
    three = write("three.csv", "y,x\nlow,1\nmid,2\nhigh,3\n")
    refused("data: a logistic response of three values", jobs("fit", three, "--y", "y", "--x", "x", "--model",
                                                              "logistic"), 1,
            "two values", '"mid"', "--positive")
    spelled_positives()
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


def what_knn_goes_by():
    """A fit goes by its own predictors, however the gaps lie."""
    table = write("model.csv", "x,y,z,other\n1,10,1,1\n100,20,9,2\n,20,1.1,2\n3,,3,4\n50,15,5,5\n")
    fit = ("--y", "y", "--x", "x,z", "--missing", "knn", "--k", "1")
    own = jobs("fit", table, *fit, "--wide")
    right = jobs("fit", write("right.csv", "x,y,z\n1,10,1\n100,20,9\n1,20,1.1\n50,15,5\n"), "--y", "y", "--x", "x,z", "--wide")
    check("knn of a fit goes by the model's predictors, never by y", own.rows()[0]["r_squared"] == right.rows()[0]["r_squared"],
          [own.rows(), right.rows()])
    named = jobs("fit", table, *fit, "--wide", "--predictors", "y")
    far = jobs("fit", write("far.csv", "x,y,z\n1,10,1\n100,20,9\n100,20,1.1\n50,15,5\n"), "--y", "y", "--x", "x,z", "--wide")
    check("unless it is named", named.rows()[0]["r_squared"] == far.rows()[0]["r_squared"], [named.rows(), far.rows()])
    by_mean = jobs("fit", table, "--y", "y", "--x", "x", "--missing", "knn")
    check("with one predictor no row has another value in common: the mean, said and counted",
          "x: 1 cell filled by knn, 1 of them with the mean" in by_mean.said and
          [(r["n_imputed"], r["n_imputed_by_mean"]) for r in by_mean.rows()] == [("1", "1"), ("", ""), ("1", "1")], by_mean)
    lonely = jobs("fit", write("few.csv", "g,y,x\na,1,\na,2,\nb,1,1\nb,2,2\nb,4,\n"), "--y", "y", "--x", "x", "--slice-by", "g",
                  "--missing", "mean", "--impute-scope", "slice")
    check("a fit says what its policy could not fill", "x: 2 cells left missing, and their rows left out: no value is observed" in
          lonely.said and "x: 1 cell filled by mean" in lonely.said, lonely)
    text = jobs("fit", write("said.csv", "y,x\nyes,1\nno,2\n,3\nyes,4\nno,1\n"), "--model", "logistic", "--y", "y", "--x", "x",
                "--missing", "mean", "--impute-response")
    check("also of text, which the policy is not for", "y: 1 cell left missing, and their rows left out: the column holds text, which mean"
          in text.said, text)
    classes = write("classes.csv", "y,x,z\n1,1,1\n0,2,\n1,3,3\n0,4,4\n1,,5\n")
    refused("a response of two values is not a number to go by", jobs("fit", classes, "--model", "logistic", "--positive", "1", "--y", "y",
                                                                  "--x", "x,z", "--missing", "knn", "--predictors", "y,z"), 2,
            "--predictors", '"y" is a response of two values')


def parts_and_tables():
    table, parts = write("small.csv", SMALL), path("parts")
    fit = ("--y", "y", "--x", "x", "--slice-by", "g")
    sliced = jobs("slice", table, *fit, "--output-dir", parts, "--part-rows", 1)
    files = sliced.bytes.decode().split()
    check("slice prints the parts' names and says how many", len(files) == 2 and
          files == sorted(glob.glob(parts + "/*")) and
          sliced.said == "6 rows read, 0 dropped; 2 parts of 2 slices\n", sliced)
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
    odd = "x,y\n1,2\n2,{}\n3,5\n4,\n"
    silent = []
    for text in ("NaN", "nan", "n/a", "N/A", "NULL", "null", "None", "-", "?", ".", "#N/A", "inf", '"3"'):
        run = jobs("impute", write("odd.csv", odd.format(text)), "--missing", "median")
        if run.status != 1 or run.bytes or not all(s in run.said for s in ("line 3", 'column "y"', "--na", "--bad-text")):
            silent.append((text, run))
    check("no spelling of a gap that nobody named is passed over", not silent, silent)
    silent = []
    for words in (["mode"], ["knn"], ["logistic"], ["indicator"], ["drop_any", "--missing-column", "y=mean"]):
        run = jobs("impute", write("odd.csv", odd.format("NaN")), "--missing", *words)
        if run.status != 1 or "line 3" not in run.said:
            silent.append((words, run))
    check("by no policy", not silent, silent)
    refused("text among numbers is an error, with its line", jobs("impute", write("odd.csv", odd.format("NaN")), "--missing", "mean"), 1,
            "line 3", 'column "y"', '"NaN"', "--na", "--bad-text")
    refused("from standard input too", jobs("impute", "-", "--missing", "mean", stdin=odd.format("NaN").encode()), 1, "line 3", '"NaN"')
    filled_too = b"x,y\n1,2\n2,3.5\n3,5\n4,3.5\n"
    check("which --na mends", jobs("impute", path("odd.csv"), "--missing", "mean", "--na", ",NaN").bytes == filled_too)
    missing = jobs("impute", path("odd.csv"), "--missing", "mean", "--bad-text", "missing")
    check("or --bad-text missing", missing.bytes == filled_too and "y: 2 cells filled by mean" in missing.said, missing)
    check("of standard input too", jobs("impute", "-", "--missing", "mean", "--bad-text", "missing", stdin=odd.format("NaN").encode()
                                        ).bytes == filled_too)
    quoted = jobs("impute", write("gaps.csv", 'x,y\n"1","2"\n"2",""\n"3","5"\n"4",NA\n'), "--missing", "mean", "--quoted-numbers")
    check("a quoted gap among quoted numbers is a gap", quoted.bytes == b'x,y\n"1","2"\n"2",3.5\n"3","5"\n"4",3.5\n' and
          "y: 2 cells filled by mean" in quoted.said, quoted)
    kept = jobs("impute", path("odd.csv"), "--missing", "mean", "--bad-text", "text")
    check("--bad-text text leaves the column, and says so", kept.bytes == b"x,y\n1,2\n2,NaN\n3,5\n4,\n" and
          "y: 1 cell left missing: the column holds text (line 3)" in kept.said and "--na" in kept.said, kept)
    for number, cells in enumerate(("NA,a\n1,b\nz,c\n", "q,a\n2,b\n,c\n")):
        run = jobs("impute", write("half.csv", "x,t\n" + cells), "--missing", "mode")
        check(f"a column of as much text as numbers is text: {number}", run.status == 0 and "x: 1 cell filled by mode" in run.said, run)
    half = jobs("impute", write("parts.csv", "g,x\na,1\na,?\na,3\nb,?\nb,\nc,5\nc,7\n"), "--missing", "mean", "--bad-text", "missing",
                "--impute-scope", "slice", "--slice-by", "g")
    check("what cannot be filled stays as it was written, and is counted by column", half.bytes ==
          b"g,x\na,1\na,2\na,3\nb,?\nb,\nc,5\nc,7\n" and "x: 2 cells left missing: no value is observed; the first in g = b" in half.said and
          "x: 1 cell filled" in half.said, half)
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
    told = jobs("impute", gaps, "--missing-column", "t=drop").said
    check("and says which gaps stay", "x: 1 cell left missing: no policy is for the column" in told and "y: 1 cell left" in told, told)
    told = jobs("impute", write("keys.csv", "g,x\n,1\n,\na,2\na,\n"), "--missing", "mean", "--impute-scope", "slice", "--slice-by", "g").said
    check("of slice columns too", "g: 2 cells left missing: slice columns are not filled" in told, told)
    told = jobs("impute", write("left.csv", "x,t\n1,a\n,\n3,a\n,b\n"), "--missing", "mean", "--missing-column", "t=drop")
    check("cells of rows that are left out do not count as filled", "x: 1 cell filled by mean" in told.said and
          "1 row with gaps left out" in told.said, told)
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
    near = jobs("impute", write("near.csv", "a,b\n1,1\n1.1,\n9,5\n"), "--missing", "knn", "--k", "1")
    check("knn goes by every numeric column, with gaps or without", near.bytes == b"a,b\n1,1\n1.1,1\n9,5\n", near.bytes)
    keyed = jobs("impute", write("keyed.csv", "g,t,a,b\n1,p,1,1\n1,q,2,\n1,p,9,5\n2,p,2,7\n2,q,,8\n"), "--missing", "knn",
                 "--k", "1", "--impute-scope", "slice", "--slice-by", "g")
    check("but not by a slice column or a text", keyed.bytes.decode().splitlines()[2:] == ["1,q,2,1", "1,p,9,5", "2,p,2,7", "2,q,2,8"],
          keyed.bytes)
    alone = jobs("impute", write("alone.csv", "a,b\n1,1\n,\n9,5\n3,\n"), "--missing", "knn", "--k", "1")
    check("a cell that no row can fill gets the mean of its column, and that is counted", "b: 2 cells filled by knn, 1 of them with "
          "the mean of the column" in alone.said and alone.bytes.decode().splitlines()[2:4] ==
          ["4.333333333333333,3", "9,5"], alone)
    refused("predictors are named once", jobs("impute", path("alone.csv"), "--missing", "knn", "--predictors", "a,a"), 2,
            "--predictors", '"a" is named twice')
    refused("and there, whatever fills", jobs("impute", path("alone.csv"), "--missing", "mean", "--predictors", "z"), 2,
            "--predictors", 'no column "z"')
    refused("knn over a table that does not fit says what helps",
            jobs("impute", table, "--missing", "knn", "--memory", "1M"), 1, "knn", "--memory", "--impute-scope slice")


# --- the line that sums up ----------------------------------------------------------------------------------------
def sums_up(name, run, line):
    """It ends with that line, and no other says how many rows were read."""
    lines = run.said.splitlines()
    check(name, run.status == 0 and lines[-1:] == [line] and sum(" read, " in said for said in lines) == 1, [line, run])


def summaries():
    table = write("sums.csv", "g,y,x,z\na,1,1,1\na,2,5,2\na,4,7,4\na,5,,2\na,9,,\na,,1,1\nb,1,1,5\n,3,1,2\n")
    fit = (table, "--y", "y", "--x", "x,z", "--slice-by", "g")
    sums_up("a fit says what it read and dropped", jobs("fit", *fit), "8 rows read, 3 dropped; 3 slices: 1 saturated, 2 too_few_rows")
    sums_up("with the rows that have no key", jobs("fit", *fit, "--drop-missing-keys"),
            "8 rows read, 4 dropped; 2 slices: 1 saturated, 1 too_few_rows")
    knn = ("--missing", "knn", "--k", "1", "--impute-scope", "slice")
    sums_up("what was filled, by which policy, and what fell back", jobs("fit", *fit, *knn),
            "8 rows read, 1 dropped, 3 cells filled (knn 1, mean of the column 2), 0 left missing; 3 slices: 1 ok, 2 too_few_rows")
    sums_up("by several policies", jobs("fit", *fit, "--missing", "mean", "--missing-column", "z=median", "--missing-column", "y=mode"),
            "8 rows read, 0 dropped, 4 cells filled (mean 2, median 1, mode 1), 0 left missing; 3 slices: 1 ok, 2 too_few_rows")
    lone = write("lone.csv", "g,y,x\na,1,\na,2,\nb,1,1\nb,2,\nb,4,3\nb,4,4\n")
    sums_up("and what was left", jobs("fit", lone, "--y", "y", "--x", "x", "--slice-by", "g", "--missing", "mean", "--impute-scope", "slice"),
            "6 rows read, 2 dropped, 1 cell filled (mean 1), 2 left missing; 2 slices: 1 ok, 1 too_few_rows")
    folder = path("summed")
    sliced = jobs("slice", *fit, *knn, "--output-dir", folder, "--part-rows", "1")
    sums_up("slice says how many parts there are", sliced, "8 rows read, 0 dropped; 3 parts of 3 slices")
    parts = sliced.bytes.decode().split()
    sums_up("a part is summed up as a file is", jobs("fit", parts[0], "--output", parts[0] + ".csv"),
            "6 rows read, 1 dropped, 3 cells filled (knn 1, mean of the column 2), 0 left missing; 1 slice: 1 ok")
    for part in parts[1:]:
        jobs("fit", part, "--output", part + ".csv")
    sums_up("combine sums up the tables", jobs("combine", *(part + ".csv" for part in parts)),
            "3 tables of 8 rows read, 1 dropped, 3 cells filled (mean of the column 2); 3 slices: 1 ok, 2 too_few_rows")
    wide = path("summed.csv")
    jobs("fit", *fit, "--wide", "--output", wide)
    sums_up("wide ones too", jobs("combine", wide), "1 table of 8 rows read, 3 dropped; 3 slices: 1 saturated, 2 too_few_rows")
    sums_up("impute", jobs("impute", table, "--missing", "knn", "--k", "1", "--missing-column", "y=drop"),
            "8 rows read, 1 dropped, 3 cells filled (knn 3), 1 left missing")
    variants = write("few.csv", "variant_id,disease_status,patient_id\nv,diseased,1\nv,diseased,2\nw,healthy,3\n,healthy,4\nv,?,5\n")
    sums_up("associate", jobs("associate", variants), "5 rows read, 1 dropped; 2 variants of 2 diseased and 2 healthy patients, 1 shown")
    tpm = write("few_tpm.csv", "patient_id,transcript_id,tpm\np,t1,1\np,t2,\np,t9,2\n")
    sums_up("expression", jobs("expression", tpm, "--map", write("few_map.csv", "transcript,gene\nt1,g1\nt2,g2\n")),
            "3 rows read, 1 dropped, 1 without a TPM; 2 values of 1 patient")
    quiet = [jobs(*words, "--quiet") for words in (
        ("fit", *fit, *knn), ("slice", *fit, "--output-dir", folder, "--clear"), ("combine", wide), ("associate", variants),
        ("impute", table, "--missing", "mean"), ("expression", tpm, "--map", path("few_map.csv")))]
    check("--quiet says none of it", all(run.status == 0 and run.said == "" for run in quiet), quiet)


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
    with open(renamed) as f:
        spelled = [f.readline()] + [",".join([p, v, {"1": "1.0", "0": "0e0"}.get(s.strip(), s.strip())]) + "\n" if n % 2 else line
                                    for n, line in enumerate(f) for p, v, s in [line.split(",")]]
    check("a status that is a number is compared as one", jobs("associate", write("numbered.csv", "".join(spelled)), "--variant", "snp",
                                                               "--status", "case", "--patient", "who", "--diseased", "1", "--healthy",
                                                               "0").bytes == run.bytes)
    refused("two statuses that are one number", jobs("associate", renamed, "--variant", "snp", "--status", "case", "--patient", "who",
                                                     "--diseased", "1", "--healthy", "1.0"), 2, "the same number")
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
    refused("a map of four columns", jobs("expression", table, "--map", write("wide.csv", "a,b,c,d\n1,2,3,4\n")), 1,
            "4 columns", "--map")
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
what_knn_goes_by()
parts_and_tables()
imputing()
summaries()
association()
expression()
pictures()
pages_of_pictures()
done_testing()

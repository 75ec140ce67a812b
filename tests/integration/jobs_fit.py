#!/usr/bin/python3
"""rookery-worker jobs: the tables are right. The published penguin tables, every policy for missing values, awkward
slices and the NIST suite, against exact and R's references; and the same bytes whatever the number of threads, the
memory, and the parts a job was cut into. Prints TAP. Needs ROOKERY_BUILD or ./build; without reference data a small
set of its own remains."""
import csv
import glob
import io
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs_cli import close, digits, jobs, number, path, shared_data, write  # noqa: E402
from tap import check, done_testing  # noqa: E402

PENGUINS = shared_data("penguins")
NIST = shared_data("nist")
MODEL = ("--y", "flipper_length_mm", "--x", "bill_length_mm")
BY_SPECIES = ("--slice-by", "species", *MODEL)


def slices(rows, keys=1):
    """{slice key: its row}, {(slice key, term): its row}; the key columns come first."""
    names = list(rows[0])[:keys]
    key = (lambda r: r[names[0]]) if keys == 1 else (lambda r: tuple(r[n] for n in names))
    return {key(r): r for r in rows if not r["term"]}, {(key(r), r["term"]): r for r in rows if r["term"]}


def reference(name):
    with open(os.path.join(PENGUINS, name), newline="") as f:
        return list(csv.DictReader(f))


# What R and statsmodels call things, and what we do.
OF_SLICE = {"n_rows": "n_rows", "n": "n", "n_dropped": "n_dropped", "df_resid": "df_residual", "r2": "r_squared",
            "adj_r2": "adj_r_squared", "sigma": "sigma", "rmse": "rmse", "rss": "rss", "f": "f_statistic",
            "f_p": "f_p_value", "loglik": "log_lik", "aic_R": "aic", "bic_R": "bic", "rank": "rank"}
OF_TERM = {"coef": "estimate", "se": "std_error", "t": "statistic", "p": "p_value", "ci_low": "conf_low",
           "ci_high": "conf_high", "se_HC0": "se_hc0", "se_HC1": "se_hc1", "se_HC2": "se_hc2", "se_HC3": "se_hc3"}


def differences(wanted, slice_row, term_rows, key, terms, relative):
    """What a row of a reference says that ours does not."""
    found = []
    for theirs, ours in OF_SLICE.items():
        if theirs not in wanted:
            continue
        if wanted.get("status") == "saturated" and number(wanted[theirs]) is None:
            continue  # statsmodels gives up there; that no residual is left is known
        if not close(slice_row[ours], wanted[theirs], relative):
            found.append((key, ours, slice_row[ours], wanted[theirs]))
    for term in terms:
        for theirs, ours in OF_TERM.items():
            right = wanted.get(f"{theirs}_{term}")
            cell = term_rows[key, term].get(ours)
            if right is not None and cell is not None and not close(cell, right, relative):
                found.append((key, term, ours, cell, right))
    return found


def compare(name, run, wanted, keys, terms, relative):
    """Every row of the reference is there, and says the same."""
    if run.status != 0:
        check(name, False, run)
        return
    ours, term_rows = slices(run.rows(), len(keys))
    found = []
    for row in wanted:
        key = row[keys[0]] if len(keys) == 1 else tuple(row[k].replace("NA", "") for k in keys)
        found += differences(row, ours[key], term_rows, key, terms, relative)
    check(name, not found and len(ours) == len(wanted), found[:5] or sorted(ours))


# --- penguins ------------------------------------------------------------------------------------------------------
def penguin_tables():
    table = os.path.join(PENGUINS, "penguins.csv")
    fitted = jobs("fit", table, *BY_SPECIES)
    terms = ["intercept", "bill_length_mm"]
    compare("the published table is exact to 1e-12", fitted, reference("customer_table_exact.csv"), ["species"], terms,
            1e-12)
    compare("with robust errors, to 1e-9", jobs("fit", table, *BY_SPECIES, "--robust"),
            reference("customer_table_by_species.csv"), ["species"], terms, 1e-9)
    compare("three predictors, two slice columns, and a missing key that is a slice",
            jobs("fit", table, "--slice-by", "species,sex", "--y", "flipper_length_mm", "--x",
                 "bill_length_mm,bill_depth_mm,body_mass_g", "--robust"),
            reference("multi_by_species_sex.csv"), ["species", "sex"],
            ["intercept", "bill_length_mm", "bill_depth_mm", "body_mass_g"], 1e-7)
    wide = jobs("fit", table, *BY_SPECIES, "--wide")
    check("a wide table has the columns that were promised",
          wide.bytes.split(b"\n")[0] == b"species,n,n_dropped,intercept,bill_length_mm,r_squared,status", wide)
    exact = {r["species"]: r for r in reference("customer_table_exact.csv")}
    check("and the same numbers", all(close(r["intercept"], exact[r["species"]]["coef_intercept"], 1e-12) and
                                      close(r["bill_length_mm"], exact[r["species"]]["coef_bill_length_mm"], 1e-12)
                                      for r in wide.rows()), wide)
    quad = jobs("fit", table, *BY_SPECIES, "--exact")
    compare("in 113 bits too", quad, reference("customer_table_exact.csv"), ["species"], terms, 1e-14)


def unlike_r(run, name, relative):
    """Terms that R's tidy table says otherwise."""
    _, terms = slices(run.rows())
    wrong = []
    for r in reference(name):
        key = r["species"], r["term"].replace("(Intercept)", "intercept")
        wrong += [(*key, ours) for ours, theirs in (("estimate", "estimate"), ("std_error", "std.error"),
                                                    ("statistic", "statistic"))
                  if not close(terms[key][ours], r[theirs], relative)]
    return wrong


def r_tables():
    table = os.path.join(PENGUINS, "penguins.csv")
    with open(table) as f:
        lines = f.read().splitlines()
    place = lines[0].split(",").index("body_mass_g")
    weights = [number(line.split(",")[place]) for line in lines[1:]]
    weighted = write("weighted.csv", "\n".join([lines[0] + ",w"] + [
        f"{line},{'' if w is None else w / 1000}" for line, w in zip(lines[1:], weights)]) + "\n")
    run = jobs("fit", weighted, *BY_SPECIES, "--weights", "w")
    check("weighted fits are R's", not unlike_r(run, "R_weighted_by_species.csv", 1e-10), run)

    run = jobs("fit", table, "--slice-by", "species", "--y", "sex", "--x", "bill_length_mm,body_mass_g", "--model",
               "logistic")
    wrong = unlike_r(run, "R_logistic_by_species.csv", 1e-6)
    check("logistic fits are R's", not wrong, wrong)


# --- missing values ------------------------------------------------------------------------------------------------
# The references go by the measurements, and not by the year.
MEASURED = ["--predictors", "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g"]
IMPUTED = [("mean", ["mean"]), ("median", ["median"]), ("mode", ["mode"]), ("drop_any", ["drop_any"]),
           ("knn5_uniform_rowindex_ties", ["knn", "--k", "5", "--weights", "uniform"]),
           ("knn5_distance_rowindex_ties", ["knn", "--weights", "distance"]),
           ("knn5_uniform_standardised", ["knn", "--standardise"]),
           ("logistic_l2_C1", ["logistic"]), ("missing_as_feature", ["indicator"]),
           ("mean_num_mode_cat", ["mean", "--missing-column", "sex=mode"])]


def same_table(run, name):
    """Whether a completed table says what the reference says, cell by cell."""
    ours = list(csv.reader(io.StringIO(run.bytes.decode())))
    with open(os.path.join(PENGUINS, name), newline="") as f:
        theirs = list(csv.reader(f))
    if len(ours) != len(theirs) or ours[0] != theirs[0]:
        return f"{len(ours)} rows of {ours[:1]}, wanted {len(theirs)} of {theirs[:1]}"
    for n, (a, b) in enumerate(zip(ours[1:], theirs[1:]), 2):
        for x, y in zip(a, b):
            if x == y or {x, y} <= {"", "NA"}:
                continue
            try:
                if close(x, y, 1e-12):
                    continue
            except ValueError:
                pass
            return f"line {n}: {x}, wanted {y}"
    return ""


def imputed_tables():
    for source, prefix in (("penguins.csv", "penguins_"), ("penguins_mcar.csv", "mcar_")):
        for name, words in IMPUTED:
            if not os.path.exists(os.path.join(PENGUINS, f"{prefix}{name}.csv")):
                continue
            run = jobs("impute", os.path.join(PENGUINS, source), "--missing", *words, *MEASURED)
            wrong = same_table(run, f"{prefix}{name}.csv")
            check(f"impute: {prefix}{name}", run.status == 0 and not wrong, wrong or run)


FITTED = {"as_is": ["drop"], "drop_any": ["drop_any"], "mean": ["mean"], "median": ["median"], "mode": ["mode"],
          "knn5_distance_rowindex_ties": ["knn", "--knn-weights", "distance"],
          "knn5_uniform_rowindex_ties": ["knn", "--k", "5"],
          "knn5_uniform_standardised_rowindex_ties": ["knn", "--standardise"], "logistic_l2_C1": ["logistic"],
          "missing_as_feature": ["indicator"], "mean_num_mode_cat": ["mean"]}


def fitted_policies():
    groups = {}
    for row in reference("penguins_regression_by_species.csv"):
        groups.setdefault((row["policy"], row["impute_scope"], row["response"]), []).append(row)
    for (policy, scope, response), wanted in sorted(groups.items()):
        if policy not in FITTED:
            continue
        words = ["--missing", *FITTED[policy], *MEASURED]
        if scope == "within_slice":
            words += ["--impute-scope", "slice"]
        if response == "imputed":
            words += ["--impute-response"]
        if response == "rows_with_missing_response_dropped" or policy == "drop_any":
            for row in wanted:  # there the rows are gone, here they count as dropped
                row.pop("n_rows")
                row.pop("n_dropped")
        compare(f"fit: {policy}, {scope}, {response}",
                jobs("fit", os.path.join(PENGUINS, "penguins.csv"), *BY_SPECIES, *words, "--robust", "--quiet"), wanted,
                ["species"], ["intercept", "bill_length_mm"], 1e-9)


# --- awkward slices ------------------------------------------------------------------------------------------------
def implied_status(row, p):
    """What the exact reference implies, with p predictors."""
    n, rank = int(float(row["n"])), int(float(row["rank"]))
    if n < p + 1:
        return "too_few_rows"
    if row["dropped_terms"]:
        return "rank_deficient"
    if n == rank:
        return "saturated"
    return "constant_response" if row["slice"] == "const_y" else "ok"


def awkward_slices():
    table = os.path.join(PENGUINS, "degenerate.csv")
    exact = reference("degenerate_exact.csv")
    for model, x in (("y~x1", ["x1"]), ("y~x1+x2", ["x1", "x2"])):
        words = ("fit", table, "--slice-by", "slice", "--y", "y", "--x", ",".join(x))
        # Here "" and NA are names of slices, not missing keys.
        run = jobs(*words, "--na-column", "slice=", "--quiet")
        ours, terms = slices(run.rows())
        wrong = []
        for row in (r for r in exact if r["model"] == model):
            key, right = row["slice"], implied_status(row, len(x))
            if key == "near_collinear" and model == "y~x1+x2":
                right = ours[key]["status"]  # so near that dropping and keeping are both right: see below
            if ours[key]["status"] != right:
                wrong.append((key, ours[key]["status"], right))
            if ours[key]["status"] in ("ok", "saturated", "constant_response"):
                for term in ["intercept"] + x:
                    if not close(terms[key, term]["estimate"], row[f"coef_{term}"], 1e-6, 1e-9):
                        wrong.append((key, term, terms[key, term]["estimate"], row[f"coef_{term}"]))
            if ours[key]["dropped_terms"] != row["dropped_terms"] and right == "rank_deficient":
                wrong.append((key, ours[key]["dropped_terms"], row["dropped_terms"]))
        check(f"{model}: each awkward slice has the status the exact reference implies", not wrong, wrong)
        near = ours["near_collinear"]
        check(f"{model}: a nearly dependent predictor is dropped by name, or its fit says few digits are left",
              len(x) == 1 or near["dropped_terms"] == "x2" or float(near["digits_estimate"]) < 8, near)
        merged, _ = slices(jobs(*words, "--quiet").rows())
        check(f"{model}: without that option both are the slice of the missing key, the last one",
              merged[""]["n_rows"] == "60" and list(merged)[-1] == "", list(merged))
        dropped, _ = slices(jobs(*words, "--drop-missing-keys", "--quiet").rows())
        check(f"{model}: which can be left out", "" not in dropped and len(dropped) == len(merged) - 1, list(dropped))


# --- NIST ----------------------------------------------------------------------------------------------------------
BARS = {"Norris": (12, 13), "Pontius": (12, 12), "NoInt1": (14, 14), "NoInt2": (14, 14), "Longley": (13, 13),
        "Wampler1": (10, 10), "Wampler2": (12.5, 14), "Wampler3": (10, 13), "Wampler4": (9, 13), "Wampler5": (7.5, 13),
        "Filip": (7, 7)}


def nist():
    with open(os.path.join(NIST, "certified.json")) as f:
        certified = json.load(f)["datasets"]
    for name, (coefficient_bar, error_bar) in BARS.items():
        d = certified[name]
        words = ["--y", d["response"], "--x", ",".join(d["features"])] + ([] if d["intercept"] else ["--no-intercept"])
        for exact in ([], ["--exact"]):
            rows = jobs("fit", os.path.join(NIST, d["wide_file"]), *words, *exact).rows()
            terms = {r["term"]: r for r in rows if r["term"]}
            reached = [min(digits(float(terms[t][c]), right) for t, right in d[kind].items())
                       for c, kind in (("estimate", "coef"), ("std_error", "std_err"))]
            mode = "exact" if exact else "default"
            check(f"NIST {name}, {mode}: {reached[0]:.1f} and {reached[1]:.1f} digits of coefficients and errors",
                  reached[0] >= coefficient_bar and reached[1] >= error_bar, (coefficient_bar, error_bar))
            if not exact:
                squared = digits(float(rows[0]["r_squared"]), d["r2"])
                check(f"NIST {name}: {squared:.1f} digits of R squared", squared >= (10 if name == "Filip" else 13))


# --- the same bytes however it is done -----------------------------------------------------------------------------
def random_table(rng, rows, keys):
    """Gaps, quotes, keys in every dress, integers and decimals."""
    def gap(often, text):
        return rng.choice(["NA", ""]) if rng.random() < often else text
    lines = ["g,h,y,a,b,w,c,class,note"]
    for _ in range(rows):
        lines.append(",".join([
            rng.choice(keys), rng.choice(["1", "1.0", "2", "NA", "", '"NA"', "10", '"x,1"']),
            gap(.05, f"{rng.gauss(3, 2):.6g}"),
            gap(.1, rng.choice([str(rng.randint(-5, 5)), f"{rng.gauss(0, 1):.3f}", "1e3"])),
            gap(.02, f"{rng.random():.3f}"), gap(.01, str(rng.randint(0, 3))), gap(.3, str(rng.randint(0, 9))),
            gap(.05, rng.choice(["yes", "no"])), gap(.2, rng.choice(['"q"', "t"]))]))
    return "\n".join(lines) + "\n"


# Policy, scope and model are drawn for each; knn over the whole table needs the table in memory.
def random_request(rng):
    missing = rng.choice(["drop", "drop_any", "mean", "median", "mode", "indicator", "logistic", "knn"])
    logistic = rng.random() < .4
    scope = "slice" if missing == "knn" or rng.random() < .3 else "table"
    x = rng.choice(["a", "a,b", "b,a,c"])
    if missing == "indicator" and rng.random() < .5:
        x += ",missingindicator_a"
    words = ["--slice-by", rng.choice(["g", "g", "h,g"]), "--x", x, "--missing", missing, "--impute-scope", scope]
    words += ["--model", "logistic", "--y", "class"] if logistic else ["--y", "y"]
    for word in ("--robust", "--wide", "--drop-missing-keys"):
        words += [word] if rng.random() < .3 else []
    words += ["--weights", "w"] if rng.random() < .3 else []
    words += ["--impute-response"] if missing in ("mean", "median", "mode") and rng.random() < .5 else []
    return words


def combined(table, words, rng, name):
    """The same table by way of parts, fitted and combined in any order."""
    parts = path(f"{name}.parts")
    sliced = jobs("slice", table, *words, "--output-dir", parts, "--part-rows", rng.choice([1, 1500, 100000]),
                  "--quiet", *rng.choice([[], ["--memory", "1M"]]))
    files = sliced.bytes.decode().split()
    rng.shuffle(files)
    for file in files:
        fitted = jobs("fit", file, "--output", f"{file}.csv", "--quiet", "--threads", rng.choice([1, 2]))
        if fitted.status != 0:
            return fitted
    return jobs("combine", *[f"{file}.csv" for file in files])


def same_bytes(rounds, rows):
    rng = random.Random(7)
    keys = [f"k{i}" for i in range(12)] + ['"k, q"', "NA", "", '""']
    table = write("random.csv", random_table(rng, rows, keys))
    nowhere = jobs("fit", table, "--y", "y", "--x", "a", "--slice-by", "g,h", "--memory", "1M", "--scratch-dir",
                   path("none"))
    check("little memory is too little for the table: temporary files are needed", nowhere.status == 1 and
          "no temporary file can be made" in nowhere.said, nowhere)
    for n in range(rounds):
        words = random_request(rng)
        one = jobs("fit", table, *words, "--threads", 1)
        others = [jobs("fit", table, *words, "--threads", t) for t in (2, 8)]
        small = jobs("fit", table, *words, "--memory", "1M", "--threads", 2)
        said = " ".join(words)
        check(f"1, 2 and 8 threads, the same bytes: {said}", one.status == 0 and
              all((r.bytes, r.said) == (one.bytes, one.said) for r in others), [one, *others])
        check(f"and in little memory: {said}", (small.bytes, small.said) == (one.bytes, one.said), [one, small])
        parts = combined(table, words, rng, f"same{n}")
        check(f"and in parts: {said}", parts.bytes == one.bytes, [one, parts])
        as_json = jobs("fit", table, *words, "--format", "json", "--quiet")
        files = sorted(glob.glob(path(f"same{n}.parts/*.csv")))
        check(f"and in JSON: {said}", jobs("combine", "--format", "json", *files).bytes == as_json.bytes and
              json.loads(as_json.bytes) is not None, as_json)


def own_numbers():
    """Without any reference: y = 1 + 2x, exactly, and a slice of each kind."""
    table = write("own.csv", "g,y,x\n" + "".join(f"line,{1 + 2 * i},{i}\n" for i in range(6)) +
                  "one,5,1\n" "two,1,1\ntwo,3,2\n" "flat,4,1\nflat,4,2\nflat,4,3\n" "same,1,7\nsame,2,7\nsame,3,7\n"
                  "none,,1\n")
    ours, terms = slices(jobs("fit", table, "--slice-by", "g", "--y", "y", "--x", "x", "--quiet").rows())
    check("statuses of a slice of each kind",
          {k: r["status"] for k, r in ours.items()} == {"line": "ok", "one": "too_few_rows", "two": "saturated",
                                                        "flat": "constant_response", "same": "rank_deficient",
                                                        "none": "too_few_rows"}, ours)
    check("slices come in the order of their keys", list(ours) == sorted(ours), list(ours))
    check("y = 1 + 2x is found", close(terms["line", "intercept"]["estimate"], "1", 1e-15) and
          close(terms["line", "x"]["estimate"], "2", 1e-15) and ours["line"]["r_squared"] == "1", terms)
    check("what is undefined is empty", ours["flat"]["r_squared"] == "" and terms["two", "x"]["std_error"] == "" and
          terms["same", "x"]["estimate"] == "" and ours["none"]["sigma"] == "", ours)
    whole = jobs("fit", table, "--y", "y", "--x", "x", "--wide").rows()
    check("without slice columns the whole file is one slice", len(whole) == 1 and whole[0]["n"] == "15", whole)
    numbers = write("keys.csv", "k,y\n" + "".join(f"{k},1\n" for k in ("10", "9", "1.50", "1.5", "-2", "NA")))
    keys = [r["k"] for r in jobs("fit", numbers, "--slice-by", "k", "--y", "y", "--wide", "--quiet").rows()]
    check("keys that are all numbers are ordered as numbers, a missing one last",
          keys == ["-2", "1.5", "1.50", "9", "10", ""], keys)


if PENGUINS:
    penguin_tables()
    r_tables()
    imputed_tables()
    fitted_policies()
    awkward_slices()
else:
    check("penguin tables # SKIP reference data are not there", True)
if NIST:
    nist()
else:
    check("NIST suite # SKIP reference data are not there", True)
own_numbers()
same_bytes(rounds=5, rows=45000)
done_testing()

#!/usr/bin/python3
"""scripts/pipeline/main.nf without Nextflow, which Debian does not have: the scripts of its processes are filled in,
staged and run as Nextflow does it, and give the table that `jobs fit` gives in one. What the workflow says besides is
held against the Makefile, nextflow.config and the README. (Whether Nextflow takes the syntax is not seen here.)

Prints TAP. Needs ROOKERY_BUILD or ./build.
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from tap import check, done_testing  # noqa: E402

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("ROOKERY_BUILD", os.path.join(ROOT, "build"))
PIPELINE = os.path.join(ROOT, "scripts", "pipeline")
ROWS = '''wing,"the ""x""",y %
a b,1,5
a b,2,7
a b,4,11
-5%,1,2
-5%,2,2.5
-5%,3,NA
,1,1
,2,3
,3,2
'''


def read(name):
    with open(os.path.join(PIPELINE, name), encoding="utf-8") as file:
        return file.read()


class Workflow:
    """main.nf's parameters, functions and processes: just enough of its language to fill in its scripts."""

    def __init__(self, text, params):
        self.params = dict(re.findall(r"^params\.(\w+) = '?([^'\n]*)'?$", text, re.M))
        self.unset = sorted(name for name, value in self.params.items() if value == "null")
        self.params.update(params)
        self.functions = dict(re.findall(r'^def (\w+)\(\) \{\n    return "(.*)"\n\}', text, re.M))
        self.processes = {name: {"input": re.search(r"input:\s+path (.*)", body)[1],
                                 "output": re.search(r"output:\s+path (.*)", body)[1].strip("'\""),
                                 "script": re.search(r'"""(.*?)"""', body, re.S)[1]}
                          for name, body in re.findall(r"^process (\w+) \{(.*?)^\}", text, re.M | re.S)}

    def value(self, expression, variables):
        """What stands in ${...}: a variable, its name, a parameter, word(...), or a function without arguments."""
        call = re.fullmatch(r"(\w+)\((.*)\)", expression)
        if call and call[1] == "word":
            return shlex.quote(self.value(call[2], variables))
        if call:
            return self.fill(self.functions[call[1]], variables)
        if expression.startswith("params."):
            return self.params[expression[len("params."):]]
        if expression == "task.cpus":
            return "1"
        return variables[expression.removesuffix(".name")]

    def fill(self, text, variables):
        return re.sub(r"\$\{([^}]*)\}", lambda match: self.value(match[1], variables), text)

    def run(self, name, files, folder):
        """A task: its inputs are links, its script runs in its folder, and what it declared must have come out."""
        process = self.processes[name]
        os.makedirs(folder)
        staged = process["input"].strip("'")
        for file in files:
            where = os.path.join(folder, os.path.dirname(staged))
            os.makedirs(where, exist_ok=True)
            os.symlink(file, os.path.join(where, os.path.basename(file)))
        variables = {staged: shlex.quote(os.path.basename(files[0]))}
        done = subprocess.run(["bash", "-ue", "-c", self.fill(process["script"], variables)], cwd=folder,
                              capture_output=True, text=True, check=False)
        out = sorted(glob.glob(os.path.join(folder, self.fill(process["output"], variables))))
        check(f"{name} of {os.path.basename(files[0])} runs, and its output is as declared",
              done.returncode == 0 and out, done.stderr)
        return out


def the_table_is_that_of_one_fit(work, text):
    data = os.path.join(work, "a table.csv")
    with open(data, "w", encoding="utf-8") as file:
        file.write(ROWS)
    flow = Workflow(text, {"file": data, "slice_by": "wing", "y": "y %", "x": 'the "x"', "options": "--missing mean"})
    parts = flow.run("SLICE", [data], os.path.join(work, "slice"))
    check("a part for each slice", len(parts) == 3, parts)
    tables = []
    for number, part in enumerate(parts):
        tables += flow.run("FIT", [part], os.path.join(work, f"fit{number}"))
    combined = flow.run("COMBINE", list(reversed(tables)), os.path.join(work, "combine"))
    directly = subprocess.run(["rookery-worker", "jobs", "fit", data, "--slice-by", "wing", "--y", "y %", "--x", 'the "x"',
                               "--missing", "mean"], capture_output=True, check=True).stdout
    with open(combined[0], "rb") as file:
        check("the table is that of one fit", file.read() == directly)
    return flow


def what_is_said_is_true(flow, text):
    makefile, config, readme = read("Makefile"), read("nextflow.config"), read("README.md")
    steps = re.compile(r"jobs (slice|fit|combine) ")
    check("the workflow runs the commands of the Makefile, in their order",
          steps.findall("".join(p["script"] for p in flow.processes.values())) ==
          steps.findall("\n".join(re.findall(r"^\t\$\(WORKER\).*", makefile, re.M))))
    asked = re.search(r"\[(.*)\]\.each", text)[1]
    check("it asks for every parameter without a default", sorted(re.findall(r"\w+", asked)) == flow.unset, flow.unset)
    for name in flow.params:
        check(f"the README and the head of main.nf have --{name}",
              f"`--{name}`" in readme and re.search(rf"^// .*--{name}\b", text, re.M))
        check(f"the Makefile has {name.upper()}", re.search(rf"^# .*\b{name.upper()}\b", makefile, re.M))
    named = set(re.findall(r"withName: '(\w+)'", config))
    check("the processes that nextflow.config names are there", named and named <= set(flow.processes), named)
    profiles = re.search(r"^profiles \{(.*)^\}", config, re.M | re.S)[1]
    for profile in set(re.findall(r"-profile (\w+)", readme + text)):
        check(f"there is a profile {profile}", re.search(rf"^    {profile} \{{", profiles, re.M))
    check("each { has its }", all(t.count("{") == t.count("}") for t in (text, config)))


def main():
    work = tempfile.mkdtemp()
    os.environ["PATH"] = BUILD + os.pathsep + os.environ["PATH"]
    try:
        text = read("main.nf")
        what_is_said_is_true(the_table_is_that_of_one_fit(work, text), text)
    finally:
        shutil.rmtree(work)
    done_testing()


main()

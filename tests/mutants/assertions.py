"""Which assertions have been seen to catch something: tests/mutants/assertions, and scripts/mutate --assertions.

An entry of the list names an assertion, a fault that makes it false, and a test in which that happens:

    core/domain/graph/graph.c: graph_followers: *n <= (size_t)limit
        core/domain/graph/graph.c: graph_followers: pg_i64(limit) -> pg_i64(limit + 1)
        unit/gateway/home/test_home

A fault is "FILE: FUNCTION: OLD -> NEW": in the only line of that function that has OLD, it becomes NEW ("nothing":
it is left out). Of an .sql file FUNCTION is a statement. An assertion is looked for by what it asserts, so that it stays
right when lines move.
"""
import os
import re
import shutil
import threading
from collections import defaultdict
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from builds import BuildError, run
from reach import integration_tests, run_integration
from running import Bench, in_threads
from source import File, function_lines

# Where assertions are to pay: each of them has an entry.
FOLDERS = ("core/domain", "core/event", "gateway", "workers")
WORDS = ("assert", "MOVES_CHECK")
UNIT_LIMIT_S = 120
INTEGRATION_LIMIT_S = 400
NONE = "no assertion failed: "
FAULT = re.compile(r"(\S+\.(?:c|h|sql)): (\w+): (.+?) -> (.*)")
STATEMENT = re.compile(r"-- name: (\w+)")


@dataclass(frozen=True)
class Assertion:
    path: str
    function: str
    text: str
    first: int  # line, from 1
    last: int

    @property
    def key(self):
        return f"{self.path}: {self.function}: {self.text}"


def places(path, text):
    """[(name, first line, last line)] of the functions of a file, or of its statements."""
    if not path.endswith(".sql"):
        return function_lines(text)
    lines, found = text.split("\n"), []
    for number, line in enumerate(lines, 1):
        if match := STATEMENT.match(line):
            found.append([match[1], number, len(lines)])
            if len(found) > 1:
                found[-2][2] = number - 1
    return found


@dataclass(frozen=True)
class Entry:
    key: str
    line: int  # of the list
    path: str
    function: str
    old: str
    new: str
    test: str

    def fault(self, text):
        """The text of the file with the fault in it; a sentence when there is no such place, or there are several."""
        lines, found = text.split("\n"), []
        for name, first, last in places(self.path, text):
            if name == self.function:
                found += [at for at in range(first - 1, last) for _ in range(lines[at].count(self.old))]
        if len(found) != 1:
            many = f"{len(found)} times" if found else "not"
            return None, f"{self.path}: {self.function} has {many}: {self.old}"
        lines[found[0]] = lines[found[0]].replace(self.old, "{}" if self.new == "nothing" else self.new)
        return "\n".join(lines), ""


def assertions_of(path, text):
    """The assertions in the functions of a file."""
    file, found = File(path, text), []
    for name, _, first, last in file.functions():
        for i in range(first, last):
            if file.word(i) in WORDS and file.word(i + 1) == "(" and i + 1 in file.pairs:
                end = file.pairs[i + 1]
                said = " ".join(text[file.tokens[i + 1].end:file.tokens[end].at].split())
                found.append(Assertion(path, name, said, file.line_of(file.tokens[i].at),
                                       file.line_of(file.tokens[end].at)))
    return found


def all_assertions(tree, chosen):
    """Of the C files and headers in the folders, or of those that are chosen."""
    found = []
    for room in FOLDERS:
        for folder, _, files in sorted(os.walk(os.path.join(tree, room))):
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), tree)
                if name.endswith((".c", ".h")) and chosen(path):
                    with open(os.path.join(tree, path), encoding="utf-8") as file:
                        found += assertions_of(path, file.read())
    return found


def read_list(path):
    """The entries, and sentences about lines that are none."""
    entries, problems, block = [], [], []

    def close():
        if not block:
            return
        number, key = block[0]
        match = FAULT.fullmatch(block[1][1]) if len(block) == 3 else None
        if match:
            entries.append(Entry(key, number, *match.groups(), block[2][1]))
        else:
            problems.append(f"{path}:{number}: an assertion is followed by a fault (FILE: FUNCTION: OLD -> NEW) and a test")

    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file.read().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if not line[0].isspace():
                close()
                block = []
            block.append((number, line.strip()))
    close()
    return entries, problems


def check_list(tree, path):
    """What is wrong with the list, by reading alone: sentences."""
    entries, problems = read_list(path)
    known = {assertion.key for assertion in all_assertions(tree, lambda _: True)}
    tests, seen = set(integration_tests(tree)), set()
    for entry in entries:
        where = f"{path}:{entry.line}: "
        if entry.key not in known:
            problems.append(f"{where}there is no such assertion: {entry.key}")
        if entry.key in seen:
            problems.append(f"{where}the assertion has an entry already: {entry.key}")
        seen.add(entry.key)
        source = os.path.join(tree, entry.path)
        if not os.path.isfile(source):
            problems.append(f"{where}there is no file {entry.path}")
            continue
        with open(source, encoding="utf-8") as file:
            problem = entry.fault(file.read())[1]
        if problem:
            problems.append(where + problem)
        if entry.test not in tests and not os.path.isfile(os.path.join(tree, "tests", entry.test + ".c")):
            problems.append(f"{where}there is no test {entry.test}")
    return problems


class Trier(Bench):
    """Where one thread tries faults."""

    def __init__(self, builds, number):
        super().__init__(builds, f"fault-{number}")

    def sources(self, entry):
        """The C files that are compiled again when the entry's changes."""
        path, found = entry.path, []
        if not path.endswith(".h"):
            return [re.sub(r"\.sql$", ".c", path)]
        for source in [*self.builds.sources(), f"tests/{entry.test}.c"]:
            try:
                with open(os.path.join(self.builds.folder("plain"), source[:-2] + ".d"), encoding="utf-8") as file:
                    if path in file.read().split():
                        found.append(source)
            except OSError:
                continue
        return found

    def compile(self, entry, text):
        """{source: its object with the fault}."""
        objects, overlay = {}, self.file("overlay")
        shutil.rmtree(overlay, ignore_errors=True)
        if not entry.path.endswith(".c"):
            header = os.path.join(overlay, entry.path)
            os.makedirs(os.path.dirname(header))
            with open(header, "w", encoding="utf-8") as file:
                file.write(text if header.endswith(".sql") else f'# 1 "{entry.path}"\n{text}')
            if header.endswith(".sql"):
                made = run([os.path.join(self.builds.folder("plain"), "generate/statements"), entry.path], cwd=overlay)
                with open(header + ".h", "w", encoding="utf-8") as file:
                    file.write(made.stdout)
        for number, source in enumerate(self.sources(entry)):
            objects[source] = self.file(f"{number}.o")
            problem = self.builds.compile("plain", source, text if source == entry.path else self.builds.text(source),
                                          objects[source], ["-Wno-error"], overlay if os.path.isdir(overlay) else "")
            if problem:
                raise BuildError(f"{source} does not compile:\n{problem}")
        return objects

    def run(self, entry, objects):
        """What the first assertion that failed said, or how the test ended without one."""
        log = self.file("failed")
        if os.path.exists(log):
            os.remove(log)
        said = {"ASSERTIONS_LOG": log}
        extra = [self.builds.witness()]
        if entry.test.startswith("unit/"):
            program = self.file("test")
            self.builds.link_all("plain", "tests/" + entry.test, objects, extra, program)
            outcome = self.place.run([program], self.builds.tree, UNIT_LIMIT_S, said, cleans_up=True)
        else:
            self.link_daemons(objects, extra)
            outcome = run_integration(self.place, self.builds, "plain", self.file("build"), entry.test,
                                      INTEGRATION_LIMIT_S, said)
        try:
            with open(log, encoding="utf-8", errors="replace") as file:
                return file.readline().strip()
        except OSError:
            return NONE + ("the test passed" if outcome.passed else outcome.reason)

    def link_daemons(self, objects, extra):
        """A build folder that is the plain one but for the daemons that hold the fault."""
        here, there = self.file("build"), self.builds.folder("plain")
        rooms = {path.split("/")[0] for path in objects}
        changed = [f"rookery-{name}" for name, room in (("gateway", "gateway"), ("worker", "workers"))
                   if rooms & {room, "core"}]
        shutil.rmtree(here)
        os.makedirs(here)
        for name in os.listdir(there):
            if name not in changed and name != "redis-server":
                os.symlink(os.path.join(there, name), os.path.join(here, name))
        for name in changed:
            self.builds.link_all("plain", name, objects, extra, os.path.join(here, name))

    def try_entry(self, entry, wanted):
        """(caught, what was said)."""
        text, problem = entry.fault(self.builds.text(entry.path))
        if problem:
            return False, problem
        try:
            objects = self.compile(entry, text)
            said = self.run(entry, objects)
            if said.startswith(NONE):  # the machine may have been too busy for the test's servers
                said = self.run(entry, objects)
        except BuildError as error:
            return False, str(error)
        match = re.match(r"(\S+):(\d+): (\w+): ", said)
        caught = match and any(match[1] == a.path and a.first <= int(match[2]) <= a.last for a in wanted)
        return bool(caught), said


class Trial:
    """All entries that were asked for, each by itself, several at a time."""

    def __init__(self, builds, entries, assertions, jobs, screen):
        self.builds, self.jobs, self.screen = builds, jobs, screen
        self.by_key, self.left, self.total = defaultdict(list), SimpleQueue(), len(entries)
        for assertion in assertions:
            self.by_key[assertion.key].append(assertion)
        for entry in entries:
            self.left.put(entry)
        self.missed, self.done, self.problem, self.lock = [], 0, None, threading.Lock()

    def work(self, number):
        trier = Trier(self.builds, number)
        try:
            while not self.problem:
                entry = self.left.get_nowait()
                self.note(entry, *trier.try_entry(entry, self.by_key[entry.key]))
        except Empty:
            pass
        except Exception as problem:  # a thread's would be lost
            self.problem = self.problem or problem
        finally:
            trier.close()

    def note(self, entry, caught, said):
        with self.lock:
            self.done += 1
            if not caught:
                self.missed.append(entry)
        if not caught:
            self.screen.line(f"not caught: {entry.key}\n    {entry.path}: {entry.function}: {entry.old} -> {entry.new}\n"
                             f"    {entry.test}: {said}")
        self.screen.progress(f"{self.done} of {self.total}, {self.done - len(self.missed)} caught")

    def all(self):
        in_threads(self.work, self.jobs)
        if self.problem:
            raise self.problem


def without_entry(assertions, entries):
    keys = {entry.key for entry in entries}
    return [assertion for assertion in assertions if assertion.key not in keys]


def list_path(tree):
    return os.path.join(tree, "tests/mutants/assertions")


def try_all(builds, chosen, options, screen):
    """Tries the entries of the chosen files' assertions. True when all are caught and no assertion lacks one."""
    entries, problems = read_list(list_path(builds.tree))
    assertions = all_assertions(builds.tree, chosen)
    wanted = {assertion.key for assertion in assertions}
    entries_to_try = [] if options.list else [entry for entry in entries if entry.key in wanted]
    trial = Trial(builds, entries_to_try, assertions, options.jobs, screen)
    if trial.total > 0:
        builds.build("plain", any(not entry.test.startswith("unit/") for entry in entries_to_try))
    trial.all()
    for problem in problems:
        screen.line(problem)
    left = without_entry(assertions, entries)
    for assertion in left:
        screen.line(f"no entry: {assertion.path}:{assertion.first}: {assertion.function}: {assertion.text}")
    screen.line(f"{len(assertions)} assertions, {trial.done - len(trial.missed)} caught their fault, "
                f"{len(trial.missed)} did not, {len(left)} without an entry")
    return not (problems or trial.missed or left)

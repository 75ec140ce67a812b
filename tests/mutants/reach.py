"""Which test runs which line: a map that is made once with gcov and kept in the build folder.

    HOME/reach/TEST.json     {"key", "passed", "seconds", "files": {path: [text's hash, [lines]]}}
    HOME/reach/texts/HASH    the text that those line numbers are of

A test is mapped again when its own source has changed, not when a source of the program has: lines are then found
again by a comparison of the two texts, and a line that is new counts as reached by what reaches its function.
`scripts/mutate --remap` makes the whole map anew.
"""
import difflib
import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor

from builds import ROOMS, run
from running import Place
from source import function_lines

# Integration tests that no mutant can fail, or that build, or that take minutes.
UNSUITED = {"chaos.sh", "check_includes.sh", "dockerfile.sh", "fuzz_replay.sh", "load.sh", "mutate.sh", "pipeline.sh",
            "pipeline_nextflow.py", "readme_session.sh", "run_and_stop.sh", "tap_count.sh"}
MAP_LIMIT_S = 400


def digest(data):
    return hashlib.sha256(data).hexdigest()[:24]


def integration_tests(tree):
    """Names as scripts/test has them."""
    found = []
    for room in ("integration", "clients"):
        folder = os.path.join(tree, "tests", room)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if name.endswith((".py", ".sh")) and name not in UNSUITED and os.access(path, os.X_OK):
                found.append(f"{room}/{name}")
    return found


def source_of(test):
    return f"tests/{test}.c" if test.startswith("unit/") else f"tests/{test}"


def run_integration(place, builds, kind, folder, test, limit_s, environment=None):
    """One integration test by scripts/test, which makes a stack for it, on the programs of a folder."""
    words = ["bash", "scripts/test", "--no-build", *(["--sanitize"] if kind == "asan" else []), test]
    settings = {"BUILD_ASAN" if kind == "asan" else "BUILD": folder, **(environment or {})}
    return place.run(words, builds.tree, limit_s, settings, cleans_up=True)


class Reach:
    def __init__(self, builds, remap, only_unit):
        self.builds, self.folder = builds, os.path.join(builds.home, "reach")
        if remap:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "texts"), exist_ok=True)
        self.unit = builds.unit_tests()
        self.integration = [] if only_unit else integration_tests(builds.tree)
        self.maps, self.lines_of = {}, {}

    # --- making the map ---
    def key(self, test):
        with open(os.path.join(self.builds.tree, source_of(test)), "rb") as file:
            return digest(file.read())

    def file_of(self, test):
        return os.path.join(self.folder, test.replace("/", "_") + ".json")

    def stale(self):
        """The tests whose map is missing, of an older text of theirs, or of a run that failed; reads the others."""
        left = []
        for test in self.unit + self.integration:
            try:
                with open(self.file_of(test), encoding="utf-8") as file:
                    self.maps[test] = json.load(file)
            except (OSError, ValueError):
                self.maps[test] = {"key": ""}
            if self.maps[test]["key"] != self.key(test) or not self.maps[test]["passed"]:
                left.append(test)
        return left

    def refresh(self, progress):
        left = self.stale()
        if not left:
            return
        self.builds.build("cov", bool(self.integration))
        done = 0
        with ThreadPoolExecutor(self.builds.jobs) as pool:
            for test, made in zip(left, pool.map(self.map_one, left)):
                done += 1
                self.maps[test] = made
                with open(self.file_of(test), "w", encoding="utf-8") as file:
                    json.dump(made, file)
                progress(f"which test runs which line: {done} of {len(left)}")

    def map_one(self, test):
        counts = tempfile.mkdtemp(prefix="counts.", dir=self.builds.home)
        place = Place()
        try:
            settings = {"GCOV_PREFIX": counts}
            if test.startswith("unit/"):
                program = os.path.join(self.builds.folder("cov"), "tests", test)
                outcome = place.run([program], self.builds.tree, MAP_LIMIT_S, settings)
            else:
                outcome = run_integration(place, self.builds, "cov", self.builds.folder("cov"), test, MAP_LIMIT_S, settings)
            return {"key": self.key(test), "passed": outcome.passed, "seconds": outcome.seconds,
                    "reason": outcome.reason, "files": self.read_counts(counts)}
        finally:
            place.close()
            shutil.rmtree(counts, ignore_errors=True)

    def read_counts(self, counts):
        """gcov's answer for the counts that programs left below a folder: {path: [hash, [lines]]}."""
        lines = {}
        below = counts + self.builds.folder("cov")
        for room in ROOMS:
            for folder, _, files in os.walk(os.path.join(below, room)):
                data = [os.path.join(folder, name) for name in files if name.endswith(".gcda")]
                for gcda in data:
                    note = gcda[len(counts):-5] + ".gcno"
                    os.symlink(note, gcda[:-5] + ".gcno")
                answer = run(["gcov", "-j", "-t", *data], cwd=counts) if data else None
                for line in answer.stdout.splitlines() if answer else []:
                    for file in json.loads(line)["files"]:
                        reached = {entry["line_number"] for entry in file["lines"] if entry["count"] > 0}
                        if reached and file["file"].endswith(".c"):
                            lines.setdefault(file["file"], set()).update(reached)
        return {path: [self.keep_text(path), sorted(reached)] for path, reached in lines.items()
                if os.path.exists(os.path.join(self.builds.tree, path))}

    def keep_text(self, path):
        text = self.builds.text(path)
        name = digest(text.encode())
        kept = os.path.join(self.folder, "texts", name)
        if not os.path.exists(kept):
            with open(kept, "w", encoding="utf-8") as file:
                file.write(text)
        return name

    # --- asking it ---
    def moved(self, path, name, text):
        """{line of the kept text: line of this text} for the lines that both have."""
        if name == digest(text.encode()):
            return None
        with open(os.path.join(self.folder, "texts", name), encoding="utf-8") as file:
            old = file.read().split("\n")
        blocks = difflib.SequenceMatcher(None, old, text.split("\n"), autojunk=False).get_matching_blocks()
        return {block.a + k + 1: block.b + k + 1 for block in blocks for k in range(block.size)}

    def of_file(self, path):
        """{line: tests} of a file as it is now."""
        if path in self.lines_of:
            return self.lines_of[path]
        text, moves, found, strange = self.builds.text(path), {}, {}, set()
        for test, made in self.maps.items():
            name, lines = made.get("files", {}).get(path, ("", []))
            if not lines or not made["passed"]:
                continue
            if name not in moves:
                moves[name] = self.moved(path, name, text)
            move = moves[name]
            for line in lines if move is None else [move[line] for line in lines if line in move]:
                found.setdefault(line, set()).add(test)
            if move is not None:
                strange |= set(range(1, text.count("\n") + 2)) - set(move.values())
        for _, first, last in function_lines(text) if strange else []:
            inside = set().union(*(found.get(line, set()) for line in range(first, last + 1)))
            for line in strange & set(range(first, last + 1)):
                found.setdefault(line, set()).update(inside)
        self.lines_of[path] = found
        return found

    def tests_of(self, mutant):
        """(unit tests, integration tests) that run the mutant's line, the likeliest to notice first."""
        lines = self.of_file(mutant.path)
        tests = set().union(*(lines.get(line, set()) for line in range(mutant.first_line, mutant.line + 1)))
        ordered = sorted(tests, key=lambda test: (not namesakes(mutant.path, test), self.maps[test]["seconds"], test))
        return ([test for test in ordered if test.startswith("unit/")],
                [test for test in ordered if not test.startswith("unit/")])


def namesakes(path, test):
    """Is it the file's own test: a unit test of its room, or dlq.py of dlq.c?"""
    if test.startswith("unit/"):
        return os.path.dirname(test) == "unit/" + os.path.dirname(path)
    return os.path.basename(test).split(".")[0] == os.path.basename(path)[:-2]

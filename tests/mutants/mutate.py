"""Makes one-token mutants, tries them, and reports which ones no test notices. scripts/mutate is its front, and says
how it is used; here is the story:

    1. the sources are copied, and built three times        builds.py
    2. gcov says which test runs which line                 reach.py
    3. mutants are drawn from the files asked for           source.py
    4. each is tried                                        trial.py
    5. the survivors are listed, the score is compared

With --assertions the faults are those of a list              assertions.py
"""
import argparse
import fcntl
import hashlib
import os
import queue
import signal
import sys
import threading
import time

import assertions
from builds import BuildError, Builds
from reach import Reach
from running import Stopped, in_threads, is_stopped, stop_all
from source import mutants_of
from trial import Court, Slot, Verdict

PASSING_PERCENT = 90
LOG_EVERY_S = 60


class Equivalents:
    """tests/mutants/equivalent: a line with a mutant's key, and below it, indented, why nothing can notice it."""

    def __init__(self, path):
        self.path, self.reasons, self.met = path, {}, set()
        key = ""
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            if not line[0].isspace():
                key = line.strip()
                self.reasons[key] = ""
            elif key:
                self.reasons[key] = f"{self.reasons[key]} {line.strip()}".strip()
            else:
                sys.exit(f"mutate: {path}:{number}: a reason without a mutant above it")
        for key, reason in self.reasons.items():
            if not reason:
                sys.exit(f"mutate: {path}: no reason is given for: {key}")

    def reason(self, mutant):
        reason = self.reasons.get(mutant.key)
        if reason:
            self.met.add(mutant.key)
        return reason

    def outdated(self, paths):
        """Entries of the files looked at that fit no mutant any more."""
        return [key for key in self.reasons if key not in self.met and key.split(":")[0] in paths]


class Screen:
    """On a terminal one line that is rewritten; elsewhere the lines that stay, and how far it is once a minute."""

    def __init__(self):
        self.live, self.lock, self.last = sys.stdout.isatty(), threading.Lock(), time.monotonic()

    def progress(self, text):
        with self.lock:
            if self.live:
                print(f"\r\033[Kmutate: {text}", end="", flush=True)
            elif time.monotonic() > self.last + LOG_EVERY_S:
                self.last = time.monotonic()
                print(f"mutate: {text}", flush=True)

    def line(self, text=""):
        with self.lock:
            print(("\r\033[K" if self.live else "") + text, flush=True)


def drawn(mutants, seed):
    """In an order that the seed decides, and in which a mutant's neighbours have no part."""
    return sorted(mutants, key=lambda m: hashlib.sha256(f"{seed} {m.key}".encode()).digest())


def chosen_files(builds, words):
    sources, files = builds.sources(), []
    for word in words or ["."]:
        word = os.path.normpath(word)
        if os.path.isabs(word):
            word = os.path.relpath(word, ROOT)
        found = [path for path in sources if word == "." or path == word or path.startswith(word + "/")]
        if not found:
            sys.exit(f"mutate: {word} is no C file, and no folder with C files, of core/, gateway/, workers/ or jobs/")
        files += [path for path in found if path not in files]
    return files


class Run:
    """Mutants are handed to the slots one after the other until the sample is full."""

    def __init__(self, options, court, mutants, equivalents, screen):
        self.court, self.screen, self.options = court, screen, options
        self.left, self.wanted = queue.SimpleQueue(), options.sample or len(mutants)
        self.equivalents, self.verdicts, self.started = equivalents, [], 0
        self.lock, self.problem = threading.Lock(), None
        for mutant in mutants:
            self.left.put(mutant)

    def next(self):
        """The next mutant; None when enough have been tried or are being tried."""
        with self.lock:
            if self.problem or self.started >= self.wanted or self.left.empty():
                return None
            self.started += 1
            return self.left.get()

    def work(self, number):
        slot = Slot(self.court, number)
        try:
            while mutant := self.next():
                reason = self.equivalents.reason(mutant)
                self.note(Verdict(mutant, "equivalent", reason) if reason else slot.try_mutant(mutant))
        except Exception as problem:  # a thread's would be lost
            self.problem = self.problem or problem
        finally:
            slot.close()

    def note(self, verdict):
        with self.lock:
            if verdict.what in ("same", "invalid"):
                self.started -= 1
                return
            self.verdicts.append(verdict)
        if verdict.what == "survived" or self.options.verbose:
            show(self.screen, verdict)
        killed = sum(1 for v in self.verdicts if v.what == "killed")
        self.screen.progress(f"{len(self.verdicts)} of {self.wanted}, {killed} killed")

    def all(self):
        in_threads(self.work, self.options.jobs)
        if self.problem:
            raise self.problem


def show(screen, verdict):
    mutant = verdict.mutant
    why = f"  ({verdict.why})" if verdict.why else ""
    screen.line(f"{verdict.what}: {mutant.path}:{mutant.line}: {mutant.function}: {mutant.change}{why}\n"
                f"    {mutant.line_text}")
    if verdict.what == "survived" and verdict.asked:
        screen.line("    not noticed by " + ", ".join(verdict.asked))


def report(screen, run, paths):
    survivors = [v for v in run.verdicts if v.what == "survived"]
    equivalent = [v for v in run.verdicts if v.what == "equivalent"]
    killed = sum(1 for v in run.verdicts if v.what == "killed")
    for warning in run.court.warnings:
        screen.line(f"mutate: warning: {warning}")
    for key in run.equivalents.outdated(paths) if not run.options.sample else []:
        screen.line(f"mutate: warning: tests/mutants/equivalent: no such mutant any more: {key}")
    if survivors:
        screen.line("survivors, as tests/mutants/equivalent would name them:")
        for verdict in sorted(survivors, key=lambda v: (v.mutant.path, v.mutant.line)):
            screen.line("  " + verdict.mutant.key)
    counted = killed + len(survivors)
    score = 100 * killed / counted if counted else 100
    screen.line(f"{len(run.verdicts)} mutants, {killed} killed, {len(survivors) + len(equivalent)} survived "
                f"({len(equivalent)} equivalent), score {score:.0f} %")
    return killed * 100 >= counted * PASSING_PERCENT


def options_of(words):
    parser = argparse.ArgumentParser(prog="mutate", add_help=False, usage="see --help")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tree", default=ROOT)
    for flag in ("--assertions", "--check", "--list", "--remap", "--unit", "--verbose"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args(words)
    if options.sample < 0 or options.jobs < 1:
        sys.exit("mutate: --sample and --jobs are numbers above 0 (see --help)")
    return options


def in_files(words):
    """Is a path one of these, or in one of these folders?"""
    wanted = [os.path.relpath(os.path.abspath(os.path.join(ROOT, word)), ROOT) for word in words]
    return lambda path: not wanted or any(path == word or path.startswith(word + "/") for word in wanted)


def check_assertions(tree):
    problems = assertions.check_list(tree, assertions.list_path(tree))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def main():
    options, screen = options_of(sys.argv[1:]), Screen()
    if options.assertions and options.check:
        return check_assertions(os.path.abspath(options.tree))
    home = os.path.abspath(os.environ.get("BUILD_MUTATE") or os.path.join(options.tree, "build-mutate"))
    os.makedirs(home, exist_ok=True)
    lock = open(os.path.join(home, "lock"), "w", encoding="utf-8")  # until the end of the process
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"mutate: another scripts/mutate works in {home}; BUILD_MUTATE names another folder")
    builds = Builds(os.path.abspath(options.tree), home, options.jobs)
    if options.assertions:
        return 0 if assertions.try_all(builds, in_files(options.files), options, screen) else 1
    paths = chosen_files(builds, options.files)
    mutants = [mutant for path in paths for mutant in mutants_of(path, builds.text(path))]
    if options.sample or options.list:
        mutants = drawn(mutants, options.seed) if options.sample else mutants
    if options.list:
        for mutant in mutants[:options.sample or None]:
            screen.line(f"{mutant.path}:{mutant.line}: {mutant.function}: {mutant.change}")
        return 0
    equivalents = Equivalents(os.path.join(builds.tree, "tests/mutants/equivalent"))
    reach = Reach(builds, options.remap, options.unit)
    reach.refresh(screen.progress)
    for kind in ("plain", "asan"):
        builds.build(kind, kind == "asan" and bool(reach.integration))
    run = Run(options, Court(builds, reach), mutants, equivalents, screen)
    run.all()
    return 0 if report(screen, run, paths) else 1


def interrupted(*_):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop_all()


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main())
    except Stopped:
        sys.exit("mutate: interrupted")
    except BuildError as error:
        sys.exit("mutate: interrupted" if is_stopped() else f"mutate: {error}")

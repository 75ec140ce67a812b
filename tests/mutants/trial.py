"""The trial of one mutant: does a test notice it?

    1. Compiled as delivered: one that does not compile is none, and one whose object is the original's is equivalent.
    2. The unit tests that run its line, linked with it, as delivered: some make allocations fail, which sanitizers do not
       allow.
    3. The same with sanitizers, for what is wrong but shows in no result.
    4. The integration tests that run its line, on daemons with sanitizers.

The first test that fails twice, or is not done in many times its usual time, kills it. A test that fails on the original
too is not asked.
"""
import os
import shutil
import threading

from reach import namesakes, run_integration
from running import Bench

UNIT_MOST = 8  # tests per mutant, beside the file's own: what runs a line of core/base is half of all tests
INTEGRATION_MOST = 4
TIMES = 6  # so many times its usual time a test may take before it counts as hanging, and some seconds
UNIT_GRACE_S = 8
INTEGRATION_GRACE_S = 60
INTEGRATION_LIMIT_S = 300


class Verdict:
    """what: "killed", "survived", "same" (code) or "invalid"."""

    def __init__(self, mutant, what, why="", asked=()):
        self.mutant, self.what, self.why, self.asked = mutant, what, why, list(asked)


def twice(run):
    """The outcome of a test that may fail by chance: of a first run that passes or hangs, else of a second one."""
    outcome = run()
    return outcome if outcome.passed or outcome.hung else run()


class Court:
    def __init__(self, builds, reach):
        self.builds, self.reach = builds, reach
        self.usual, self.guard, self.locks = {}, threading.Lock(), {}
        self.warnings = []

    def baseline(self, place, kind, test):
        """Usual seconds of a test on the original; None when it fails on it."""
        with self.guard:
            lock = self.locks.setdefault((kind, test), threading.Lock())
        with lock:
            if (kind, test) not in self.usual:
                folder = self.builds.folder(kind)
                if test.startswith("unit/"):
                    outcome = place.run([os.path.join(folder, "tests", test)], self.builds.tree, 240)
                else:
                    outcome = run_integration(place, self.builds, kind, folder, test, INTEGRATION_LIMIT_S)
                if not outcome.passed:
                    self.warnings.append(f"{test} fails without any mutant ({kind}): {outcome.reason}")
                self.usual[kind, test] = outcome.seconds if outcome.passed else None
            return self.usual[kind, test]


class Slot(Bench):
    """Where one thread tries its mutants."""

    def __init__(self, court, number):
        super().__init__(court.builds, f"slot-{number}")
        self.court, self.reach = court, court.reach

    def try_mutant(self, mutant):
        text = mutant.apply(self.builds.text(mutant.path))
        plain = self.file("plain.o")
        if self.builds.compile("plain", mutant.path, text, plain):
            return Verdict(mutant, "invalid")
        with open(plain, "rb") as file:
            if file.read() == self.builds.original(mutant.path):
                return Verdict(mutant, "same")
        units, integrations = self.reach.tests_of(mutant)
        own = sum(1 for test in units if namesakes(mutant.path, test))
        units, integrations = units[:own + UNIT_MOST], integrations[:INTEGRATION_MOST]
        if not units and not integrations:
            return Verdict(mutant, "survived", "no test runs this line")
        asan = self.file("asan.o")
        noticed = self.ask_units("plain", mutant, plain, units)
        if not noticed:
            if self.builds.compile("asan", mutant.path, text, asan):
                return Verdict(mutant, "invalid")
            noticed = self.ask_units("asan", mutant, asan, units) or self.ask_daemons(mutant, asan, integrations)
        return Verdict(mutant, "killed" if noticed else "survived", noticed, units + integrations)

    def ask_units(self, kind, mutant, mutated, tests):
        """What the first test that noticed said; "" when none did."""
        for test in tests:
            usual = self.court.baseline(self.place, kind, test)
            if usual is None:
                continue
            program = self.file("test")
            self.builds.link(kind, "tests/" + test, mutant.path, mutated, program)
            outcome = twice(lambda: self.place.run([program], self.builds.tree, UNIT_GRACE_S + TIMES * usual))
            if not outcome.passed:
                return f"{test}: {outcome.reason}"
        return ""

    def ask_daemons(self, mutant, mutated, tests):
        linked = False
        for test in tests:
            usual = self.court.baseline(self.place, "asan", test)
            if usual is None:
                continue
            if not linked:
                self.link_daemons(mutant, mutated)
                linked = True
            limit = min(INTEGRATION_GRACE_S + TIMES * usual, INTEGRATION_LIMIT_S)
            outcome = twice(lambda: run_integration(self.place, self.builds, "asan", self.file("build"), test, limit))
            if not outcome.passed:
                return f"{test}: {outcome.reason}"
        return ""

    def link_daemons(self, mutant, mutated):
        """A build folder that is the sanitized one but for the daemons that hold the mutant."""
        here, there = self.file("build"), self.builds.folder("asan")
        shutil.rmtree(here)
        os.makedirs(here)
        with_it = {"gateway": ["gateway"], "workers": ["worker"], "jobs": ["worker"]}
        changed = ["rookery-" + name for name in with_it.get(mutant.path.split("/")[0], ["gateway", "worker"])]
        for name in os.listdir(there):
            if name not in changed and name not in ("python", "npm", "redis-server"):
                os.symlink(os.path.join(there, name), os.path.join(here, name))
        for name in changed:
            self.builds.link("asan", name, mutant.path, mutated, os.path.join(here, name))

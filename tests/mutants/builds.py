"""The copy of the tree that mutants are made in, and its three builds.

    HOME/tree/    the sources, as they are in the checkout
    HOME/plain/   as delivered: what a mutant is compiled with first, to see whether its code differs at all
    HOME/asan/    with AddressSanitizer and UndefinedBehaviorSanitizer
    HOME/cov/     without optimisation, counting which lines run

A mutant is one object. It is compiled from standard input by make's own command, and linked in front of the libraries
that hold the original, whose member the linker then leaves out.
"""
import os
import re
import shlex
import subprocess
import sys
import threading

FLAGS = {"plain": [], "asan": ["SANITIZE=1"],
         "cov": ["CFLAGS=--coverage -O0 -fprofile-update=prefer-atomic"]}
ROOMS = ("core", "gateway", "workers", "jobs")
# gold comes with Debian's binutils, and links a test in a quarter of the time.
LINKER = ["-fuse-ld=gold"]


# What the caller's shell says of its own build and stack is not about these.
FOREIGN = ("SANITIZE", "FUZZ", "CFLAGS", "CPPFLAGS", "LDFLAGS", "MAKEFLAGS", "BUILD", "ROOKERY_BUILD", "ROOKERY_GATEWAY",
           "ROOKERY_TEST_STACK", "ROOKERY_TEST_DATABASE_URL", "ROOKERY_TEST_REDIS_URL")


class BuildError(Exception):
    pass


def run(words, **more):
    return subprocess.run(words, capture_output=True, text=True, errors="replace", **more)


def listed_files(root):
    """The files of a checkout: git's, and new ones; all there are where there is no git."""
    git = run(["git", "-C", root, "ls-files", "-z", "-c", "-o", "--exclude-standard"])
    if git.returncode == 0 and git.stdout:
        return [path for path in git.stdout.split("\0") if path and os.path.isfile(os.path.join(root, path))]
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not re.match(r"build|\.git$|data$", name)]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in files]
    return found


def contents(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def copy_tree(root, tree):
    """Makes tree the same as root. What is the same already keeps its time, so that make leaves it alone."""
    wanted = set(listed_files(root))
    for folder, _, files in os.walk(tree):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.relpath(path, tree) not in wanted:
                os.remove(path)
    for path in wanted:
        source, copy = os.path.join(root, path), os.path.join(tree, path)
        data = contents(source)
        if data != contents(copy):
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            with open(copy, "wb") as file:
                file.write(data)
        os.chmod(copy, os.stat(source).st_mode)


class Builds:
    def __init__(self, root, home, jobs):
        self.tree, self.home, self.jobs = os.path.join(home, "tree"), home, jobs
        for name in FOREIGN:
            os.environ.pop(name, None)
        os.makedirs(self.tree, exist_ok=True)
        copy_tree(root, self.tree)
        # Reference data of some tests is looked for beside the checkout.
        shared, link = os.path.join(os.path.dirname(root), "shared"), os.path.join(home, "shared")
        if os.path.isdir(shared) and not os.path.lexists(link):
            os.symlink(shared, link)
        self.commands, self.originals, self.lock = {}, {}, threading.Lock()

    def folder(self, kind):
        return os.path.join(self.home, kind)

    def sources(self):
        """The C files of the rooms."""
        found = []
        for room in ROOMS:
            for folder, _, files in os.walk(os.path.join(self.tree, room)):
                found += [os.path.relpath(os.path.join(folder, name), self.tree) for name in files if name.endswith(".c")]
        return sorted(found)

    def text(self, path):
        with open(os.path.join(self.tree, path), encoding="utf-8") as file:
            return file.read()

    def unit_tests(self):
        found = []
        for folder, _, files in os.walk(os.path.join(self.tree, "tests/unit")):
            names = [name for name in files if re.fullmatch(r"test_\w+\.c", name)]
            found += [os.path.relpath(os.path.join(folder, name), os.path.join(self.tree, "tests"))[:-2] for name in names]
        return sorted(found)

    # --- make ---
    def make(self, kind, *words):
        made = run(["make", "-C", self.tree, f"-j{self.jobs}", "BUILD=" + self.folder(kind), *FLAGS[kind], *words])
        if made.returncode != 0:
            said = "\n".join(line for line in (made.stdout + made.stderr).splitlines() if " -o " not in line)
            raise BuildError(f"the {kind} build failed:\n{said[-4000:]}")

    def build(self, kind, daemons):
        print(f"mutate: building {kind}", end="\r" if sys.stdout.isatty() else "\n", flush=True)
        self.make(kind, "tests", *(["daemons", "tools"] if daemons else []))

    def command(self, kind, target, source=None):
        """The words with which make makes a target of a build."""
        if (kind, target) not in self.commands:
            target_path = os.path.join(self.folder(kind), target)
            touched = ["-W", source] if source else ["-W", os.path.join(self.folder(kind), "libcore.a")]
            told = run(["make", "-C", self.tree, "-n", *touched, "BUILD=" + self.folder(kind), *FLAGS[kind], target_path])
            line = [line for line in told.stdout.replace("\\\n", " ").splitlines() if f" -o {target_path} " in line]
            if not line:
                raise BuildError(f"make says no command for {target_path}: {told.stderr[-500:]}")
            self.commands[kind, target] = shlex.split(line[0])
        return self.commands[kind, target]

    # --- one object ---
    def compile(self, kind, path, text, output, more=(), overlay=""):
        """Compiles text as if it were the file at path; the compiler's words when it refuses, else None. Headers that are
        in the overlay are taken from there."""
        words = [word for word in self.command(kind, path[:-2] + ".o", path) if word not in ("-MMD", "-MP", "-g", path)]
        at = words.index("-o")
        words[at + 1] = output
        # Which of && and || binds first is a matter of style to the warning, and the very question to the mutant.
        # What is compiled from standard input looks for headers in the current folder first.
        words = ["-I" + self.tree if word == "-I." else word for word in words]
        words += ["-g0", "-Wno-parentheses", *more, "-iquote", os.path.join(self.tree, os.path.dirname(path)), "-x", "c", "-"]
        made = subprocess.run(words, cwd=overlay or self.tree, input=f'# 1 "{path}"\n{text}', capture_output=True, text=True)
        return None if made.returncode == 0 else made.stderr

    def original(self, path):
        """The plain object of the file as it is."""
        with self.lock:
            if path not in self.originals:
                output = os.path.join(self.home, "original.o")
                problem = self.compile("plain", path, self.text(path), output)
                if problem:
                    raise BuildError(f"{path} does not compile:\n{problem}")
                self.originals[path] = contents(output)
            return self.originals[path]

    def link(self, kind, target, path, mutant, output):
        """Links a program of a build with the mutant's object in the place of the original's."""
        self.link_all(kind, target, {path: mutant}, [], output)

    def link_all(self, kind, target, objects, more, output):
        """The same with several: {path: its object}; and with more objects."""
        words = list(self.command(kind, target))
        at = words.index("-o")
        words[at + 1] = output
        for path, mutant in objects.items():
            original = os.path.join(self.folder(kind), path[:-2] + ".o")
            if original in words:
                words[words.index(original)] = mutant
            else:
                words.insert(at + 2, mutant)
        made = run(words[:at + 2] + list(more) + words[at + 2:] + LINKER, cwd=self.tree)
        if made.returncode != 0:
            raise BuildError(f"{target} does not link with a mutant of {', '.join(objects)}:\n{made.stderr[-2000:]}")

    def witness(self):
        """The object that writes down which assertion failed."""
        with self.lock:
            output = os.path.join(self.home, "witness.o")
            if not os.path.exists(output):
                made = run(["cc", "-O1", "-fPIE", "-c", "tests/mutants/witness.c", "-o", output], cwd=self.tree)
                if made.returncode != 0:
                    raise BuildError(f"the witness does not compile:\n{made.stderr}")
            return output

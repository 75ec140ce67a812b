#!/usr/bin/python3
"""rookery-worker jobs on a terminal: tables fit its width, wide ones go to a pager, and elsewhere nothing of that is
seen; and a line says how far a command is. Prints TAP. Needs ROOKERY_BUILD or ./build."""
import fcntl
import os
import pty
import random
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs_cli import WORKER, jobs, path, write  # noqa: E402
from tap import PATIENCE_S, check, done_testing  # noqa: E402

SMALL = "g,y,x,t\na,1,1,p\na,2,2,q\na,4,3,p\nb,1,5,q\nb,0,6,p\nb,1,7,q\n"


class Seen:
    """What a person sees of a command on a terminal of that many columns (0: it does not say)."""

    def __init__(self, *words, columns=80, stdin=None, stdout=None, feed=None, **environment):
        """stdin, stdout: descriptors instead of the terminal. feed: called with this after each look, until it says no."""
        self.bytes, self.status = b"", None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            for fd, other in ((0, stdin), (1, stdout)):
                if other is not None:
                    os.dup2(other, fd)
            for name in ("COLUMNS", "PAGER", "LESS"):
                os.environ.pop(name, None)
            os.environ.update(environment)
            os.execv(WORKER, [WORKER, "jobs", *map(str, words)])
        while feed and feed(self):
            self.read(0.02)
        while self.read(PATIENCE_S):
            pass
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        self.text = self.bytes.decode().replace("\r\n", "\n")
        self.blocks = [block.splitlines() for block in self.text.split("\n\n")]

    def read(self, patience):
        """Returns False at the end."""
        if not select.select([self.fd], [], [], patience)[0]:
            if patience == PATIENCE_S:
                raise TimeoutError(self.bytes)
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.bytes += piece
        return piece != b""

    def screen(self):
        """What is left on the screen when all is over, blanks at the ends of lines aside."""
        lines = []
        for line in self.bytes.decode().replace("\r\n", "\n").split("\n"):
            cells = []
            for piece in line.split("\r"):
                cells[:len(piece)] = piece
            lines.append("".join(cells).rstrip())
        return "\n".join(lines)

    def widest(self):
        return max(len(line) for line in self.text.splitlines())

    def __repr__(self):
        return f"status {self.status}\n{self.bytes.decode()}"


def script(name, text):
    """A program; returns its path."""
    file = write(name, "#!/bin/sh\n" + text)
    os.chmod(file, 0o755)
    return file


# --- tables --------------------------------------------------------------------------------------------------------
def tables():
    table = write("small.csv", SMALL)
    fit = ("fit", table, "--y", "y", "--x", "x", "--slice-by", "g", "--quiet")
    seen = Seen(*fit, columns=250)
    check("on a terminal a long table is two aligned ones", seen.status == 0 and len(seen.blocks) == 2 and
          seen.blocks[0][0].startswith("g  term"), seen)
    check("of terms and of slices", "estimate" in seen.blocks[0][0] and "r_squared" in seen.blocks[1][0] and
          "std_error" not in seen.blocks[1][0] and len(seen.blocks[0]) == 5 and len(seen.blocks[1]) == 3, seen)
    points = {line.find(".") for line in seen.blocks[0][1:3]}
    check("numbers stand below one another by their points", len(points) == 1 and points != {-1}, seen)
    for columns in (40, 80, 120):
        seen = Seen(*fit, columns=columns)
        check(f"{columns} columns: it is no wider than the terminal", seen.widest() <= columns and len(seen.blocks) > 2,
              seen)
        check(f"{columns} columns: each block begins with the key", all(
            b[0].startswith("g  ") and [line[0] for line in b[1:]] in (["a", "a", "b", "b"], ["a", "b"])
            for b in seen.blocks), seen)
        names = {name for b in seen.blocks for name in b[0].split()}
        check(f"{columns} columns: nothing is lost", {"estimate", "conf_high", "status", "digits_estimate"} <= names, names)
    check("a terminal that does not say its width: COLUMNS", 40 < Seen(*fit, columns=0, COLUMNS="60").widest() <= 60)
    check("or else 80", 60 < Seen(*fit, columns=0).widest() <= 80 and 60 < Seen(*fit, columns=0, COLUMNS="x").widest() <= 80)
    seen = Seen(*fit[:-1], columns=250)
    check("what was read is said after the table", seen.text.splitlines()[-1] == "6 rows read, 0 dropped; 2 slices: 2 ok", seen)
    check("with --format csv it is CSV there too", Seen(*fit, "--format", "csv").text == jobs(*fit).bytes.decode())
    check("jobs combine does the same", Seen("combine", write("small.csv.table", jobs(*fit).bytes), "--quiet", columns=50).text ==
          Seen(*fit, columns=50).text)
    keys = write("keys.csv", "g,y,x\n" + "".join(f"{'long' * 30}{k},{i * i % 5},{i}\n企鹅,{i},{i * i}\n" for k in "ab"
                                                  for i in range(5)))
    seen = Seen("fit", keys, "--y", "y", "--x", "x", "--slice-by", "g", "--quiet")
    check("long keys leave room for the numbers", seen.widest() <= 80 and "longa" in seen.text and "longb" in seen.text,
          seen)


def texts_of_files():
    """A file's texts may have what a terminal would obey."""
    evil = "\033]0;owned\007\302\233"
    table = path("evil.csv")
    write("evil.csv", f"x{evil},y\n1,1\n,2\n3,{evil}\n".encode("latin-1"))
    with open(path("evil-filled.csv"), "wb") as filled:
        noted = Seen("impute", table, "--missing", "mean", "--bad-text", "text", stdout=filled.fileno())
    for name, seen in (("an error", Seen("fit", table, "--x", f"x{evil}".encode("latin-1").decode(), "--y", "y")),
                       ("a note", noted)):
        check(f"nothing of them that a terminal obeys is in {name}", b"\033" not in seen.bytes and b"\007" not in seen.bytes and
              b"\302\233" not in seen.bytes and b"owned" in seen.bytes, seen)


def wide_tables():
    rng = random.Random(3)
    x = [f"predictor_{i:02}" for i in range(12)]
    table = write("wide.csv", ",".join(["g", "y", *x]) + "\n" + "".join(
        ",".join([g, *(f"{rng.gauss(0, 1):.4f}" for _ in range(13))]) + "\n" for g in "ab" for i in range(40)))
    fit = ("fit", table, "--y", "y", "--x", ",".join(x), "--slice-by", "g", "--wide", "--quiet")
    got = path("paged")
    catch = script("catch", f"cat >'{got}'\nprintf 'LESS=%s' \"$LESS\" >'{got}.env'\n")

    def paged():
        try:
            with open(got, encoding="utf-8") as f:
                text = f.read()
            os.remove(got)
            return text
        except FileNotFoundError:
            return None

    seen = Seen(*fit, PAGER=f"'{catch}'")
    text = paged()
    check("a wide table goes to $PAGER", seen.status == 0 and seen.text == "" and text is not None, seen)
    lines = (text or "").splitlines()
    check("in one piece", len(lines) == 3 and len(lines[0]) > 80 and lines[0].split() == jobs(*fit).bytes.decode().splitlines()[0]
          .split(","), lines)
    with open(got + ".env", encoding="utf-8") as f:
        check("which is told to cut lines, if it is less", f.read() == "LESS=-FS")
    Seen(*fit, PAGER=f"'{catch}'", LESS="-M")
    with open(got + ".env", encoding="utf-8") as f:
        check("unless LESS says something", f.read() == "LESS=-M")
    paged()
    folder = os.path.dirname(script("bin/less", f"/bin/cat >'{got}'\necho \"less $*\"\n"))
    seen = Seen(*fit, PATH=folder)
    check("without $PAGER it is less", paged() == text and seen.text == "less -S -F\n", seen)
    blocks = Seen(*fit, "--no-pager", PAGER=f"'{catch}'")
    check("--no-pager shows it in blocks that repeat the key", blocks.widest() <= 80 and len(blocks.blocks) > 2 and
          all(b[0].startswith("g  ") for b in blocks.blocks) and paged() is None, blocks)
    for name, environment in (("an empty PAGER", {"PAGER": ""}), ("cat", {"PAGER": "cat"}),
                              ("no less", {"PATH": path("nowhere")})):
        seen = Seen(*fit, **environment)
        check(f"and so does {name}", seen.status == 0 and seen.text == blocks.text, seen)
    seen = Seen(*fit, PAGER="no-such-pager")
    check("and a pager that is not there, which the shell says", seen.status == 0 and seen.text.endswith(blocks.text) and
          "not found" in seen.text, seen)
    seen = Seen(*fit, PAGER="true")
    check("a pager may be left at once", seen.status == 0 and seen.text == "", seen)
    seen = Seen(*fit, PAGER=f"'{catch}'", columns=250)
    check("what fits needs no pager", paged() is None and len(seen.blocks) == 1, seen)
    seen = Seen(*[w for w in fit if w != "--wide"], PAGER=f"'{catch}'")
    check("nor does a long table", paged() is None and seen.widest() <= 80, seen)
    piped = subprocess.run([WORKER, "jobs", *fit], capture_output=True, env={**os.environ, "PAGER": catch, "COLUMNS": "40"})
    check("a pipe gets CSV", piped.stdout == jobs(*fit).bytes and piped.stdout.startswith(b"g,n,n_dropped,") and paged() is None,
          piped)


# --- progress ------------------------------------------------------------------------------------------------------
def fed(*words, patience=PATIENCE_S, until=b"reading: ", tail=b"", **options):
    """A command that reads a pipe, which goes on until the terminal says something."""
    r, w = os.pipe()
    fcntl.fcntl(w, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    deadline = time.monotonic() + patience
    os.write(w, b"g,y,x\n")

    def feed(seen):
        if until in seen.bytes or time.monotonic() > deadline:
            os.write(w, tail)
            os.close(w)
            return False
        os.write(w, b"".join(b"%s,%d,%d\n" % (rng.choice([b"a", b"b"]), rng.randrange(9), rng.randrange(99)) for _ in range(50)))
        return True

    rng = random.Random(5)
    seen = Seen(words[0], "-", *words[1:], stdin=r, feed=feed, **options)
    os.close(r)
    return seen


def to_pipe(*words, **options):
    """A command that waits until its --output is read, so that it takes longer than a moment."""
    pipe = path("output.pipe")
    os.mkfifo(pipe)
    pause = 1.5
    while True:  # a machine may be so slow that the pause is over before the command begins
        end = time.monotonic() + pause
        got = []

        def feed(_):
            if time.monotonic() < end:
                return True
            reader.start()
            return False

        def read():
            with open(pipe, "rb") as f:
                got.append(f.read())

        reader = threading.Thread(target=read)
        seen = Seen(*words, "--output", pipe, feed=feed, **options)
        reader.join()
        pause *= 2
        if b" left" in seen.bytes or pause > PATIENCE_S / 2:
            os.remove(pipe)
            return seen, got[0]


def big_table(fit):
    """A table that is read in more than one piece."""
    head, *rows = jobs(*fit).bytes.decode().splitlines()
    key = [line.split(",", 1) for line in rows if line.startswith("1,")]
    return write("rows.table", "\n".join([head, *(f"k{i},{rest}" for i in range(2000) for _, rest in key)]) + "\n")


def progress():
    fit = ("fit", "--y", "y", "--x", "x", "--slice-by", "g")
    seen = fed(*fit, "--wide")
    check("a terminal shows how much of a pipe has been read", seen.status == 0 and
          re.search(rb"\rreading: \d+\.\d MB", seen.bytes), seen)
    table = seen.screen()
    check("on one line, which is gone at the end", "reading" not in table and "computing" not in table and
          "fitting" not in table and table.splitlines()[-4].startswith("g  ") and
          b"\n" not in seen.bytes[:seen.bytes.index(b"reading")], seen)
    seen = fed(*fit, columns=12)
    check("it is no wider than the terminal", max(
        len(p) for p in seen.bytes.split(b"\r") if re.match(rb"reading|computing|fitting", p)) < 12, seen)
    seen = fed(*fit, tail=b"a,1\n")
    check("an error takes its place", seen.status == 1 and "reading" not in seen.screen() and
          seen.screen().startswith("rookery-worker jobs fit: standard input, line"), seen)
    seen = fed("fit", "--y", "y", "--x", "x", "--slice-by", "g", "--drop-missing-keys", "--missing", "mean", "--format", "csv")
    check("rows that go straight to the terminal are not mixed with it", seen.status == 0 and
          [line.split(",")[0] for line in seen.screen().splitlines()[-8:-1]] == ["g"] + ["a"] * 3 + ["b"] * 3, seen)
    seen = fed("impute", "--missing", "mean")
    check("nor are those of impute", seen.status == 0 and all(line.count(",") == 2 for line in
                                                              seen.screen().split("reading")[-1].splitlines()[:-1] if line), seen)
    check("with --quiet there is nothing", b"reading" not in fed(*fit, "--quiet", patience=1.5).bytes)
    rows = write("rows.csv", "g,y,x\n" + "".join(f"{i % 7},{i * i % 101},{i}\n" for i in range(100000)))
    fit = ("fit", rows, *fit[1:])
    seen, got = to_pipe(*fit)
    check("of a file it shows the part that has been read", re.search(rb"\rreading: \d\d? %", seen.bytes), seen)
    check("and the time left", re.search(rb"reading: \d+ %[^\r]*, \d+ (s|min) left", seen.bytes), seen)
    check("and then that of the fit", b"fitting: " in seen.bytes or b"computing" in seen.bytes, seen)
    check("the result is the same", got == jobs(*fit).bytes and "%" not in seen.screen(), seen)
    for name, words in (("combine", ("combine", big_table(fit))), ("impute", ("impute", rows, "--missing", "mean"))):
        seen, got = to_pipe(*words)
        check(f"{name} has it too", re.search(rb"\rreading: \d+ %", seen.bytes) and "%" not in seen.screen() and got, seen)
    quiet = subprocess.Popen([WORKER, "jobs", *fit], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    said = quiet.communicate()[1]
    check("what is no terminal sees nothing of it", quiet.returncode == 0 and b"reading" not in said and b"\r" not in said, said)


tables()
texts_of_files()
wide_tables()
progress()
done_testing()

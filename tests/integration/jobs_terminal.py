#!/usr/bin/python3
"""rookery-worker jobs on a terminal: tables fit its width, wide ones go to a pager, and elsewhere nothing of that is
seen. Prints TAP. Needs ROOKERY_BUILD or ./build."""
import fcntl
import os
import pty
import random
import select
import struct
import subprocess
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs_cli import WORKER, jobs, path, write  # noqa: E402
from tap import PATIENCE_S, check, done_testing  # noqa: E402

SMALL = "g,y,x,t\na,1,1,p\na,2,2,q\na,4,3,p\nb,1,5,q\nb,0,6,p\nb,1,7,q\n"


class Seen:
    """What a person sees of a command on a terminal of that many columns (0: it does not say)."""

    def __init__(self, *words, columns=80, **environment):
        self.bytes, self.status = b"", None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for name in ("COLUMNS", "PAGER", "LESS"):
                os.environ.pop(name, None)
            os.environ.update(environment)
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.execv(WORKER, [WORKER, "jobs", *map(str, words)])
        while self.read():
            pass
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        self.text = self.bytes.decode().replace("\r\n", "\n")
        self.blocks = [block.splitlines() for block in self.text.split("\n\n")]

    def read(self):
        if not select.select([self.fd], [], [], PATIENCE_S)[0]:
            raise TimeoutError(self.bytes)
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.bytes += piece
        return piece != b""

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
    check("with --format csv it is CSV there too", Seen(*fit, "--format", "csv").text == jobs(*fit).bytes.decode())
    check("jobs combine does the same", Seen("combine", write("small.csv.table", jobs(*fit).bytes), columns=50).text ==
          Seen(*fit, columns=50).text)
    keys = write("keys.csv", "g,y,x\n" + "".join(f"{'long' * 30}{k},{i * i % 5},{i}\n企鹅,{i},{i * i}\n" for k in "ab"
                                                  for i in range(5)))
    seen = Seen("fit", keys, "--y", "y", "--x", "x", "--slice-by", "g", "--quiet")
    check("long keys leave room for the numbers", seen.widest() <= 80 and "longa" in seen.text and "longb" in seen.text,
          seen)


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


tables()
wide_tables()
done_testing()

#!/usr/bin/python3
"""rookery-worker jobs: where results go. Pipes, devices, links, modes, other names of a file, standard output; what was there stays
until the result is whole, and nothing else is left behind, however a command ends. Of every command. Prints TAP."""
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs_cli import WORKER, jobs, path, write  # noqa: E402
from tap import check, done_testing, eventually  # noqa: E402

SMALL = "g,y,x\na,1,1\na,2,2\na,4,3\nb,1,5\nb,0,6\nb,1,7\nb,,8\n"
OLD = b"what was there before\n"
FIT = ("--y", "y", "--x", "x", "--slice-by", "g")


def read(name):
    with open(name, "rb") as f:
        return f.read()


def commands():
    """Each command that takes --output, by name: its words, and words with which it fails late."""
    table, bad = write("small.csv", SMALL), write("bad.csv", SMALL + "b,2,x\n")
    fitted = path("fitted.csv")
    assert jobs("fit", table, *FIT, "--output", fitted).status == 0
    variants = write("variants.csv", "variant_id,disease_status,patient_id\nv,diseased,1\nv,diseased,2\nv,healthy,3\n,healthy,4\n")
    tpm = "patient_id,transcript_id,tpm\np,t1,1\np,t2,2\n"
    maps = write("map.csv", "transcript,gene\nt1,g1\nt2,g1\n")
    wrong = write("wrong.csv", fitted and read(fitted).decode() + "one,cell\n")
    return {
        "fit": (("fit", table, *FIT), ("fit", bad, *FIT)),
        "combine": (("combine", fitted), ("combine", wrong)),
        "impute": (("impute", table, "--missing", "mean"), ("impute", write("gap.csv", SMALL + "b,1\n"), "--missing", "mean")),
        "associate": (("associate", variants), ("associate", write("v.csv", read(variants).decode() + "v,diseased\n"))),
        "expression": (("expression", write("tpm.csv", tpm), "--map", maps),
                       ("expression", write("neg.csv", tpm + "p,t1,-1\n"), "--map", maps)),
    }


class Folder:
    """An empty folder; what is in it is checked at the end."""

    def __init__(self, name):
        self.name = path(name)
        os.makedirs(self.name)

    def file(self, name):
        return os.path.join(self.name, name)

    def holds(self, *names):
        return sorted(os.listdir(self.name)) == sorted(names)


def mode(name):
    return stat.S_IMODE(os.lstat(name).st_mode)


def place(name, content=OLD):
    with open(name, "wb") as f:
        f.write(content)
    return name


# --- what is no regular file ----------------------------------------------------------------------------------------
def straight(command, words, right, folder):
    pipe = folder.file("pipe")
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(read(pipe)))
    reader.start()
    run = jobs(*words, "--output", pipe)
    if run.status != 0 or not stat.S_ISFIFO(os.lstat(pipe).st_mode):  # so that the reader ends
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK) if stat.S_ISFIFO(os.lstat(pipe).st_mode) else os.dup(1))
    else:
        reader.join()
    check(f"{command}: a named pipe is written to, and stays one",
          got == [right] and stat.S_ISFIFO(os.lstat(pipe).st_mode), run)
    os.remove(pipe)
    r, w = os.pipe()
    done = subprocess.run([WORKER, "jobs", *words, "--output", f"/proc/self/fd/{w}"], pass_fds=(w,), capture_output=True)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        check(f"{command}: so is what a shell's >(...) names", f.read() == right, done)
    check(f"{command}: - is standard output", jobs(*words, "--output", "-").bytes == right)
    name = folder.file("stdout")
    os.symlink("/proc/self/fd/1", name)
    check(f"{command}: and so is its name", jobs(*words, "--output", name).bytes == right and os.path.islink(name))
    os.remove(name)
    device = folder.file("device")
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.close(os.open(device, os.O_WRONLY))
    except OSError:
        print(f"# {command}: no device can be made here")
        if os.path.lexists(device):
            os.remove(device)
    else:
        run = jobs(*words, "--output", device)
        check(f"{command}: a device stays one", run.status == 0 and stat.S_ISCHR(os.lstat(device).st_mode), run)
        os.remove(device)
    check(f"{command}: and nothing else is made", folder.holds(), os.listdir(folder.name))
    run = jobs(*words, "--output", folder.name)
    check(f"{command}: a folder is refused", run.status == 1 and "is a folder" in run.said, run)


# --- what is one ------------------------------------------------------------------------------------------------------
def files(command, words, bad, right, folder):
    target, link, other = folder.file("target"), folder.file("link"), folder.file("other")
    place(target)
    os.chmod(target, 0o600)
    os.symlink("target", link)
    run = jobs(*words, "--output", link)
    check(f"{command}: a link stays one, what it names is written, with its mode", run.status == 0 and os.path.islink(link) and
          read(target) == right and mode(target) == 0o600, [run, oct(mode(target))])
    os.remove(link)
    os.remove(target)
    os.symlink("target", link)
    run = jobs(*words, "--output", link)
    check(f"{command}: a link to nothing makes what it names", run.status == 0 and os.path.islink(link) and read(target) == right, run)
    os.remove(link)
    os.link(place(target), other)
    run = jobs(*words, "--output", target)
    check(f"{command}: a file with two names keeps both", run.status == 0 and read(other) == right and os.path.samefile(target, other), run)
    os.remove(other)
    os.remove(target)
    place(target)
    try:
        os.setxattr(target, "user.note", b"mine")
    except OSError:
        print(f"# {command}: no attributes here")
    else:
        run = jobs(*words, "--output", target)
        check(f"{command}: attributes stay", read(target) == right and os.getxattr(target, "user.note") == b"mine", run)
    os.remove(target)
    before = os.umask(0o027)
    run = jobs(*words, "--output", target)
    os.umask(before)
    check(f"{command}: a new file is as the umask says", read(target) == right and mode(target) == 0o640, [run, oct(mode(target))])
    for kind in ("a file", "a file with two names", "no file"):
        os.remove(target)
        names = ["target"]
        if kind != "no file":
            place(target)
        if kind == "a file with two names":
            os.link(target, other)
            names.append("other")
        if kind == "no file":
            names = []
        run = jobs(*bad, "--output", target)
        check(f"{command}: where it fails and there is {kind}, that stays, and nothing is left", run.status == 1 and folder.holds(*names) and
              all(read(folder.file(name)) == OLD for name in names), [run, os.listdir(folder.name)])
        if kind == "a file with two names":
            os.remove(other)


def owners(words, right):
    """A file of somebody else, in a folder of theirs: root writes it, and it stays theirs."""
    if os.getuid() != 0:
        print("# owners: only root can give files away")
        return
    folder = Folder("owned")
    target = place(folder.file("target"))
    os.chown(target, 65534, 65534)
    run = jobs(*words, "--output", target)
    owner = os.stat(target)
    check("a file stays its owner's", read(target) == right and (owner.st_uid, owner.st_gid) == (65534, 65534), run)
    os.chmod(path("."), 0o755)
    worker = shutil.copy(WORKER, path("worker"))
    place(target)
    table = write("small.csv", SMALL)
    run = subprocess.run([worker, "jobs", "fit", table, *FIT, "--output", target], capture_output=True, user=65534, group=65534,
                         extra_groups=[])
    check("who may write a file and not its folder writes it", run.returncode == 0 and read(target) == right, run)
    run = subprocess.run([worker, "jobs", "fit", table, *FIT, "--output", folder.file("new")], capture_output=True, user=65534,
                         group=65534, extra_groups=[])
    check("and is told at once of one that cannot be made", run.returncode == 1 and b"new cannot be written" in run.stderr and
          folder.holds("target"), run)


# --- interrupted --------------------------------------------------------------------------------------------------------
def interrupted(command, words, signals):
    """It reads standard input for ever; by then it has opened its output."""
    for number in signals:
        folder = Folder(f"interrupted-{command}-{number}")
        target = place(folder.file("target"))
        process = subprocess.Popen([WORKER, "jobs", *words, "--output", target], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        head, line = ("g,y,x\n", "a,{},{}\n") if command == "fit" else ("variant_id,disease_status,patient_id\n", "v{},diseased,{}\n")
        rows = head + "".join(line.format(i % 1009, i % 97) for i in range(100000))
        process.stdin.write(rows.encode())  # a pipe holds less: it reads
        process.stdin.flush()
        process.send_signal(number)
        process.wait()
        process.stdin.close()
        check(f"{command}: ended by {signal.Signals(number).name}, it leaves the old file and nothing else",
              process.returncode == -number and folder.holds("target") and read(target) == OLD, [process.returncode, os.listdir(folder.name)])


def folders():
    table = write("small.csv", SMALL)
    pictures = Folder("pictures")
    run = jobs("fit", table, *FIT, "--plot", pictures.name)
    check("pictures", run.status == 0 and len(os.listdir(pictures.name)) == 3, run)
    overview = pictures.file("overview.svg")
    drawn = read(overview)
    os.remove(overview)
    os.symlink("elsewhere", overview)
    place(pictures.file("elsewhere"))
    os.chmod(pictures.file("elsewhere"), 0o600)
    run = jobs("fit", table, *FIT, "--plot", pictures.name)
    check("a picture that is a link stays one", os.path.islink(overview) and read(overview) == drawn and
          mode(pictures.file("elsewhere")) == 0o600, run)
    parts = Folder("parts")
    run = jobs("slice", table, *FIT, "--output-dir", parts.name, "--part-rows", "1")
    names = [os.path.basename(name) for name in run.bytes.decode().split()]
    check("parts", run.status == 0 and len(names) == 2 and parts.holds(*names), run)
    for number in (signal.SIGINT, signal.SIGKILL):
        for option in ("--plot", "--output-dir"):
            folder = Folder(f"interrupted{option}-{number}")
            command = "fit" if option == "--plot" else "slice"
            process = subprocess.Popen([WORKER, "jobs", command, "-", *FIT, option, folder.name], stdin=subprocess.PIPE,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            process.stdin.write(b"g,y,x\n" + b"".join(f"k{i // 5},{i % 7},{i % 5}\n".encode() for i in range(100000)))
            process.stdin.close()
            eventually(lambda: os.listdir(folder.name) or process.poll() is not None)
            process.send_signal(number)
            process.wait()
            left = [name for name in os.listdir(folder.name) if not name.endswith((".svg", ".rkpart"))]
            broken = [name for name in os.listdir(folder.name)
                      if name.endswith(".svg") and not read(folder.file(name)).rstrip().endswith(b"</svg>")]
            check(f"{option}: ended by {signal.Signals(number).name}, it leaves whole files only", left == [] and broken == [], [left, broken])


def main():
    every = commands()
    for command, (words, bad) in every.items():
        right = jobs(*words).bytes
        assert right, command
        folder = Folder(f"places-{command}")
        straight(command, words, right, folder)
        files(command, words, bad, right, folder)
    owners(every["fit"][0], jobs(*every["fit"][0]).bytes)
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
    interrupted("fit", ("fit", "-", *FIT), signals)
    interrupted("associate", ("associate", "-"), (signal.SIGINT, signal.SIGKILL))
    folders()
    done_testing()


main()

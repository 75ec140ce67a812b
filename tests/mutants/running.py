"""Runs test programs, and ends what they leave behind.

Every process that descends from a run carries the run's name in its environment: that is how what is left of a test
that was ended in the middle is found, and nothing else.
"""
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time

CLEAN_UP_S = 60  # for scripts/test, which stops servers


class Outcome:
    def __init__(self, passed, seconds, reason, hung=False):
        self.passed, self.seconds, self.reason, self.hung = passed, seconds, reason, hung


class Stopped(Exception):
    """The whole is being ended: Ctrl-C, or a signal."""


_running, _stopped, _guard = {}, threading.Event(), threading.Lock()


def end_descendants(name):
    wanted = f"MUTATE_RUN={name}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if wanted in file.read().split(b"\0") and int(pid) != os.getpid():
                    os.kill(int(pid), signal.SIGKILL)
        except OSError:
            continue  # gone, or another user's


def end_softly(child, name):
    """First as a person would, so that scripts/test stops its servers and removes its files."""
    child.terminate()
    try:
        child.wait(CLEAN_UP_S)
    except subprocess.TimeoutExpired:
        pass
    end_descendants(name)


def stop_all():
    """Ends what runs, and lets nothing start."""
    _stopped.set()
    with _guard:
        running = list(_running.items())
    for name, child in running:
        end_softly(child, name)


def is_stopped():
    return _stopped.is_set()


def in_threads(work, number):
    """work(0), work(1), ... concurrently."""
    threads = [threading.Thread(target=work, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Place:
    """A folder for the files of one run at a time: under /tmp, since sockets' paths are short and servers that tests
    start may run as another user."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="rookery-mutate.", dir="/tmp")
        os.chmod(self.folder, 0o755)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, words, cwd, limit_s, environment=None, cleans_up=False):
        """Runs a program: it fails by its status, when the time is over, or, unless it cleans up after itself when it
        ends, at the first test that fails."""
        name, inside = secrets.token_hex(8), os.path.join(self.folder, "run")
        os.makedirs(inside, exist_ok=True)
        os.chmod(inside, 0o755)
        with _guard:
            if _stopped.is_set():
                raise Stopped
            child = subprocess.Popen(words, cwd=cwd, text=True, errors="replace", start_new_session=True,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     env={**os.environ, **(environment or {}), "MUTATE_RUN": name, "TMPDIR": inside,
                                          "CMOCKA_MESSAGE_OUTPUT": "TAP"})
            _running[name] = child
        try:
            outcome = self.watch(child, name, limit_s, cleans_up)
        finally:
            with _guard:
                del _running[name]
            shutil.rmtree(inside, ignore_errors=True)
        if _stopped.is_set():
            raise Stopped
        return outcome

    @staticmethod
    def watch(child, name, limit_s, cleans_up):
        started, over = time.monotonic(), threading.Event()

        def give_up():
            over.set()
            (end_softly if cleans_up else lambda _, which: end_descendants(which))(child, name)

        timer = threading.Timer(limit_s, give_up)
        timer.start()
        said, failed = [], ""
        for line in child.stdout:
            said.append(line.strip())
            # cmocka calls a test that is skipped "not ok ... # SKIP".
            if said[-1].startswith("not ok") and "# SKIP" not in line:
                failed = failed or said[-1]
                if not cleans_up:
                    end_descendants(name)
                    break
        status = child.wait()
        timer.cancel()
        end_descendants(name)
        child.stdout.close()
        seconds = time.monotonic() - started
        if over.is_set():
            return Outcome(False, seconds, f"not done after {limit_s:.0f} s", hung=True)
        if failed or status == 0:
            return Outcome(not failed, seconds, failed)
        errors = [line for line in said if "ERROR:" in line or "runtime error:" in line]
        return Outcome(False, seconds, (errors or [f"status {status}"])[0])


class Bench:
    """Where one thread works: a folder with room for a build, and a place to run tests in."""

    def __init__(self, builds, name):
        self.builds, self.place = builds, Place()
        self.folder = os.path.join(builds.home, name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "build"))

    def close(self):
        self.place.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, name):
        return os.path.join(self.folder, name)

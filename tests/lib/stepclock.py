"""A wall clock of one process, or of several, that is stepped while they run: tests/tools/stepclock.c in them.

    clock = Clock("/tmp/x/clock-1")
    subprocess.Popen([...], env={**os.environ, **clock.settings})
    clock.step_to(30)             # seconds off the machine's clock, from the next look on; 0: right again
"""
import os
import struct
import subprocess

from path import built


def _sanitizer():
    """AddressSanitizer's library, which wants to be loaded first, where the daemons are built with it."""
    libraries = subprocess.run(["ldd", built("rookery-gateway")], capture_output=True, text=True, check=True).stdout
    return "".join(line.split()[2] + " " for line in libraries.splitlines() if "libasan" in line)


class Clock:
    """settings are for the daemons' environment, plain_settings for that of other programs, such as Redis."""

    def __init__(self, file):
        self.file = file
        self.step_to(0)
        self.settings = {"STEPCLOCK_FILE": file, "LD_PRELOAD": _sanitizer() + built("stepclock.so")}
        self.plain_settings = {"STEPCLOCK_FILE": file, "LD_PRELOAD": built("stepclock.so")}

    def step_to(self, seconds):
        with open(self.file, "r+b" if os.path.exists(self.file) else "wb", buffering=0) as file:
            file.write(struct.pack("=q", round(seconds * 1e9)))

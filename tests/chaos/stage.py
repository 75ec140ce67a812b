"""The servers and daemons of a run, the paths between them, and their clocks.

tests/chaos/stage.sh holds the processes. Each daemon has a path to Redis and one to PostgreSQL, and a clock, which are
in its environment: DATA/run/NAME.settings has a line VARIABLE=VALUE each, and stage.sh reads it when it starts NAME.
Redis has a clock. Paths and clocks outlive the processes that use them.
"""
import os
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
from path import Path  # noqa: E402
from stepclock import Clock  # noqa: E402

GATEWAYS, WORKERS = ["gateway-1", "gateway-2"], ["worker-1", "worker-2"]
DAEMONS = GATEWAYS + WORKERS


class Stage:
    def __init__(self, data, ports, previous=None):
        """previous: the folder of an older release's programs, of which all daemons are at first."""
        self.run, self.lock = os.path.join(data, "run"), threading.Lock()
        self.redis_socket = f"{self.run}/redis.sock"
        self.settings, self.paths, self.clocks = {}, {"redis": {}, "postgres": {}}, {}
        for name in DAEMONS:
            self.make_paths(name)
        for name in DAEMONS + ["redis"]:
            clock = self.clocks[name] = Clock(f"{self.run}/{name}.clock")
            self.configure(name, **(clock.settings if name in DAEMONS else clock.plain_settings))
        self.process = subprocess.Popen([os.path.join(HERE, "stage.sh"), data] + [str(port) for port in ports],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "PREVIOUS": previous or ""})
        self.answer("start everything")

    def make_paths(self, name):
        folder = f"{self.run}/paths/{name}"
        os.makedirs(folder, mode=0o700)
        self.paths["redis"][name] = Path(f"{folder}/redis.sock", self.redis_socket)
        self.paths["postgres"][name] = Path(f"{folder}/.s.PGSQL.5432", f"{self.run}/postgres/.s.PGSQL.5432")
        self.configure(name, REDIS_URL=f"unix://{folder}/redis.sock",
                       DATABASE_URL=f"postgresql:///rookery?host={folder}&user=rookery")

    def configure(self, name, **settings):
        """Of its next starts; None takes a setting away."""
        self.settings.setdefault(name, {}).update(settings)
        with open(f"{self.run}/{name}.settings", "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in self.settings[name].items() if value is not None)

    def answer(self, command):
        line = self.process.stdout.readline().strip()
        if line != "ok":
            raise RuntimeError(f"{command}: {line or 'the stage is gone'}")

    def tell(self, command):
        with self.lock:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            self.answer(command)

    def is_alive(self, name):
        try:
            self.tell("alive " + name)
        except RuntimeError:
            return False
        return True

    def died(self):
        """Sentences about processes that are gone though nobody killed them."""
        return [name + " is gone" for name in ["postgres", "redis"] + DAEMONS if not self.is_alive(name)]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=120)
        for paths in self.paths.values():
            for path in paths.values():
                path.close()

"""What is killed when: a schedule that the seed decides, each blow after the one before is made good."""
import subprocess
import threading
import time

from client import random_for

# Each blow: what is killed together (or paused, as a machine that hangs pauses it), and what is done while it is down.
BLOWS = {
    "a gateway": ["gateway-?"],
    "a worker": ["worker-?"],
    "Redis": ["redis"],
    "Redis, which comes back empty": ["redis", "wipe"],
    "Redis, which comes back older": ["redis", "restore"],
    "PostgreSQL": ["postgres"],
    "both workers": ["worker-1", "worker-2"],
    "a gateway and Redis, which comes back empty": ["gateway-?", "redis", "wipe"],
    "a worker and Redis, which comes back older": ["worker-?", "redis", "restore"],
    # What the workers had not read when the stream was lost comes from the outbox alone.
    "both workers and Redis, which comes back empty": ["worker-1", "worker-2", "redis", "wipe"],
    "both workers and Redis, which comes back older": ["worker-1", "worker-2", "redis", "restore"],
    "a gateway and PostgreSQL": ["gateway-?", "postgres"],
    "Redis and PostgreSQL": ["redis", "postgres"],
    "a gateway, which only hangs": ["gateway-?", "pause"],
    "a worker, which only hangs": ["worker-?", "pause"],
    "Redis, which only hangs": ["redis", "pause"],
    "a gateway, which is asked to stop": ["gateway-?", "stop"],
    "a worker, which is asked to stop": ["worker-?", "stop"],
}
DEEDS = ("wipe", "restore", "pause", "stop")
# Long enough for a delivery to be no longer prompt, and for a silent Redis to be given up.
PAUSES_S = {"gateway": 8, "worker": 14, "redis": 6}
# The short run deals each of these once.
EACH_ONCE = ["a gateway", "a worker", "Redis", "PostgreSQL", "both workers and Redis, which comes back empty",
             "both workers and Redis, which comes back older"]


class Stage:
    """tests/chaos/stage.sh, which holds the servers."""

    def __init__(self, script, data, ports):
        self.process = subprocess.Popen([script, data] + [str(port) for port in ports], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        self.answer("start everything")

    def answer(self, command):
        line = self.process.stdout.readline().strip()
        if line != "ok":
            raise RuntimeError(f"{command}: {line or 'the stage is gone'}")

    def tell(self, command):
        with self.lock:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            self.answer(command)

    def died(self):
        """Sentences about processes that are gone though nobody killed them."""
        out = []
        for name in ("postgres", "redis", "gateway-1", "gateway-2", "worker-1", "worker-2"):
            try:
                self.tell("alive " + name)
            except RuntimeError as error:
                out.append(str(error))
        return out

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=120)


class Disaster(threading.Thread):
    def __init__(self, world, stage, each_once):
        super().__init__(name="disaster", daemon=True)
        self.world, self.stage, self.each_once = world, stage, each_once
        self.rng = random_for(world.seed, "disaster")
        self.log, self.finished = [], threading.Event()

    def run(self):
        try:
            for name in self.schedule():
                # Long enough for lists to be built, trimmed and believed again, sometimes.
                if self.world.stop.wait(0.2 + self.rng.random() * (1 if self.each_once else 4)):
                    break
                self.strike(name)
        except RuntimeError as error:
            self.world.journal.problem(str(error))
            self.world.stop.set()
        self.finished.set()

    def schedule(self):
        if self.each_once:
            names = list(EACH_ONCE)
            self.rng.shuffle(names)
            yield from names
            return
        while not self.world.time_is_up():
            yield self.rng.choice(list(BLOWS))

    def strike(self, name):
        self.stage.tell("copy")  # what "older" will be: the data of a blow ago, or of now
        parts = [part.replace("?", str(self.rng.randint(1, 2))) for part in BLOWS[name]]
        victims = [part for part in parts if part not in DEEDS]
        # Time in which things happen that the copy does not have.
        self.world.stop.wait(0.1 + self.rng.random() * (0.3 if self.each_once else 2))
        began = self.world.seconds()
        deeds = parts[len(victims):]
        if deeds == ["pause"]:
            self.pause(victims[0])
        elif deeds == ["stop"]:
            self.stage.tell("stop " + victims[0])
            self.stage.tell("start " + victims[0])
        else:
            self.kill(victims, deeds)
        self.log.append(f"{began:6.1f} s  {name} ({', '.join(victims)}); back after "
                        f"{self.world.seconds() - began:.1f} s")
        self.world.say(self.log[-1])

    def kill(self, victims, deeds):
        for victim in victims:
            self.stage.tell("kill " + victim)
            self.world.stop.wait(self.rng.random() * 0.5)
        for deed in deeds:
            self.stage.tell(deed)
        self.world.stop.wait(self.rng.random() ** 2 * (0.5 if self.each_once else 3))
        for victim in sorted(victims, key=["postgres", "redis"].__contains__, reverse=True):
            self.stage.tell("start " + victim)

    def pause(self, victim):
        self.stage.tell("pause " + victim)
        self.world.stop.wait(self.rng.random() * PAUSES_S[victim.split("-")[0]])
        self.stage.tell("go-on " + victim)

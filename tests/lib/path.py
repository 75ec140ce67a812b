"""A network path between two processes that can stall, be cut, or lead elsewhere: tests/tools/netpath, told what to do.

    path = Path("/tmp/x/to-redis.sock", "/tmp/x/redis.sock")     # or HOST:PORT; listens when this returns
    path.stall()                  # or stall("requests"), stall("replies"): nothing is forwarded, connections stay
    path.go_on()                  # what was held arrives late, also that of clients that were killed meanwhile
    path.cut()                    # connections are closed, what is held is lost, new ones are refused
    path.drop()                   # connections are closed, what is held is lost, new ones are welcome
    path.switch(other)            # the same, and new ones lead to another server; target(other) leaves old ones alone
    path.heal()                   # forwards and accepts again, whatever was done before
    path.state()                  # {"connections", "requests_held", "replies_held", "requests", "replies"}: numbers
    path.close()

own_stack.Stack makes paths to its servers: stack.path_to_redis(), stack.path_to_postgres().
"""
import os
import subprocess
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def built(name):
    """A program or library of the build folder."""
    return os.path.join(os.environ.get("ROOKERY_BUILD") or os.environ.get("BUILD") or os.path.join(ROOT, "build"), name)


class Path:
    def __init__(self, listen, target, **settings):
        """settings: the environment of a daemon that is to use this path."""
        self.listen, self.settings = listen, settings
        self.lock = threading.Lock()
        self.process = subprocess.Popen([built("netpath"), listen, target], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._answer("listen")

    def _answer(self, command):
        line = self.process.stdout.readline().strip()
        if line.split(" ")[0] != "ok":
            raise RuntimeError(f"path {self.listen}: {command}: {line or 'netpath is gone'}")
        return line

    def tell(self, command):
        """Any command that netpath knows: its answer."""
        with self.lock:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            return self._answer(command)

    def stall(self, direction=""):
        self.tell(f"stall {direction}".strip())

    def go_on(self):
        self.tell("go-on")

    def cut(self):
        self.tell("cut")

    def drop(self):
        self.tell("drop")

    def heal(self):
        self.tell("heal")

    def target(self, place):
        self.tell("target " + place)

    def switch(self, place):
        self.tell("switch " + place)

    def state(self):
        return {name: int(value) for name, value in (word.split("=") for word in self.tell("state").split()[1:])}

    def close(self):
        with self.lock:
            if self.process.stdin.closed:
                return
            self.process.stdin.close()
            self.process.wait(30)
            self.process.stdout.close()

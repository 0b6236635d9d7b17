"""Starts dspy-mpi for a job, shows its progress, and stops it in order on Ctrl-C."""
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys


STOPPED = 75  # and resumable


class Failed(RuntimeError):
    """dspy-mpi ended with an error; its words are the message, and `code` is its exit code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def installed():
    """The program that came in one wheel with this package, whatever PATH says; None: none did."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    prefix = os.path.join(home, "..", "..")  # of lib/python3.12/site-packages
    folders = [os.path.join(home, "bin")]  # where pip install --target puts it
    if os.path.basename(os.path.abspath(prefix)) in ("lib", "lib64"):
        folders.append(os.path.join(prefix, "..", "bin"))
    for folder in folders:
        path = os.path.abspath(os.path.join(folder, "dspy-mpi"))
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def program():
    """The dspy-mpi to start: $DSPY_MPI, the one that came with us, the one in PATH, or that of the sources we lie in."""
    here = os.path.dirname(os.path.abspath(__file__))
    sources = os.path.join(here, "..", "..", "..", "build", "dspy-mpi")
    given = os.environ.get("DSPY_MPI")
    found = given or installed() or shutil.which("dspy-mpi") or (sources if os.access(sources, os.X_OK) else None)
    if not found or not (os.access(found, os.X_OK) or shutil.which(found)):
        raise Failed(f"there is no program {given or 'dspy-mpi'}: install the wheel, which brings it, or build it (make && make "
                     "install PREFIX=$HOME/.local), and put it into PATH or name it in DSPY_MPI", 127)
    return os.path.abspath(found) if os.path.exists(found) else found


def dies_with_us(us):
    """Run in the child: should this process be killed, it stops in order like by Ctrl-C."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != us:
        os._exit(1)


def is_terminal():
    try:
        return sys.stderr.isatty() and sys.stderr.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        return False


class Child:
    def __init__(self, words, environment):
        us, self.shown = os.getpid(), not is_terminal()
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self.shown else sys.stderr.fileno(),
            env=environment, start_new_session=True, preexec_fn=lambda: dies_with_us(us))
        self.out, self.err = b"", b""
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        if self.shown:
            self.selector.register(self.process.stderr, selectors.EVENT_READ)

    def show(self, data):
        self.err = (self.err + data)[-20000:]
        sys.stderr.write(data.decode("utf-8", "replace"))
        sys.stderr.flush()

    def turn(self):
        """False: both of its streams have ended."""
        for key, _ in self.selector.select():
            data = os.read(key.fd, 65536)
            if not data:
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
            elif key.fileobj is self.process.stdout:
                self.out += data
            else:
                self.show(data)
        return bool(self.selector.get_map())

    def wait(self):
        interrupts = 0
        while True:
            try:
                while self.turn():
                    pass
                return self.process.wait(), interrupts
            except KeyboardInterrupt:  # the first two as a terminal would; then nobody wants to wait any more
                interrupts += 1
                self.process.send_signal(signal.SIGINT if interrupts < 3 else signal.SIGKILL)
            except BaseException:
                self.process.terminate()
                self.process.wait()
                raise


# What a command line has, as a script has it.
IN_A_SCRIPT = (("; `dspy-mpi check` tries it without a call", ""), (", or --reuse to take its answers as well", ""),
               ("--fresh", "fresh=True"), ("--out", "out="), ("lm.concurrency", "num_threads"))


def last_words(child):
    lines = [line for line in child.err.decode("utf-8", "replace").replace("\r", "\n").split("\n") if line.strip()]
    mine = [line for line in lines if line.startswith("dspy-mpi")]
    text = (mine or lines or ["its words are above"])[-1]
    for there, here in IN_A_SCRIPT:
        text = text.replace(there, here)
    return text


def run(words, secrets, out):
    """Runs `dspy-mpi WORDS`; returns its last line. Ctrl-C: KeyboardInterrupt, after it has stopped in order."""
    child = Child([program(), *words], {**os.environ, **secrets.environment()})
    code, interrupts = child.wait()
    if interrupts:
        say(f"stopped; what is done is in {out}, and the same call goes on from there")
        raise KeyboardInterrupt
    if code == STOPPED:
        raise Failed(f"{last_words(child)} (what is done is in {out}: the same call goes on from there)", code)
    if code != 0:
        raise Failed(secrets.masked(last_words(child)), code)
    lines = child.out.decode("utf-8", "replace").strip().split("\n")
    try:
        return json.loads(lines[-1])
    except ValueError:
        return {}


def say(text):
    print(f"dspy_mpi: {text}", file=sys.stderr, flush=True)



"""Ctrl-C for a script when its server was told to hold its answers: stop.py SHUT WORDS...; exit 0 if that stopped it

SHUT is the file that shuts the server; it is opened again when the run has ended.
"""
import os
import signal
import subprocess
import sys
import threading

run = subprocess.Popen(sys.argv[2:], stderr=subprocess.PIPE, text=True, env={**os.environ, "SHUT": sys.argv[1]},
                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
over = threading.Event()


def interrupt():
    while not over.wait(0.02):
        if os.path.exists(sys.argv[1]):
            run.send_signal(signal.SIGINT)
            return


threading.Thread(target=interrupt).start()
for line in run.stderr:
    sys.stderr.write(line)
run.wait()
over.set()
if os.path.exists(sys.argv[1]):
    os.remove(sys.argv[1])
sys.exit(0 if run.returncode == -signal.SIGINT else f"exit {run.returncode}")

"""Runs a command on a terminal of its own and looks at what it shows there.

    python3 tests/pty_run.py COLUMNS RAW COMMAND...      exit code: the command's

RAW gets the bytes that the terminal was sent, but for its own "\\r\\n". What is wrong with them is said on stderr, with exit
99: a line that is replaced ("\\r", text, "erase the rest") and has text behind it, is wider than the terminal, or
stays at the end.
"""

import fcntl
import os
import pty
import struct
import sys
import termios

ERASE = b"\x1b[K"


def faults(raw, columns):
    pieces = raw.split(ERASE)
    live = False
    for i, piece in enumerate(pieces):
        if live and not piece.startswith(b"\r"):
            yield f"this shares a line with the progress: {piece[:80]!r} behind {pieces[i - 1][-80:]!r}"
        if i + 1 == len(pieces):
            break
        text = piece.rpartition(b"\r")[2]
        live = len(text) > 0
        if len(text.decode()) >= columns:
            yield f"{len(text.decode())} characters on a terminal of {columns}: {text!r}"
    if live and not pieces[-1]:
        yield f"it stays on the screen: {pieces[-2][-80:]!r}"


def main(columns, path, command):
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execvp(command[0], command)
    raw = b""
    while True:
        try:
            more = os.read(fd, 65536)
        except OSError:  # the command has ended
            break
        if not more:
            break
        raw += more
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    raw = raw.replace(b"\r\n", b"\n")
    with open(path, "wb") as f:
        f.write(raw)
    wrong = list(faults(raw, columns))
    for each in wrong:
        print(each, file=sys.stderr)
    sys.exit(99 if wrong else code)


main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])

"""Pseudo-terminals: what a process writes to one is kept."""

import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl

from tests.patience import PATIENCE_S

REDRAWN = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def frames(text: str) -> list[str]:
    """What stood on the screen of a program that redraws it, one state after the other."""
    return [CONTROL.sub("", each) for each in REDRAWN.split(text)]


@contextmanager
def terminal(*, columns: int, lines: int = 24) -> Iterator[tuple[int, Callable[[], str]]]:
    """A terminal: its end for a process, and what was written to it so far."""
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    written = bytearray()

    def read() -> None:
        try:
            while part := os.read(leader, 65_536):
                written.extend(part)
        except OSError:
            pass  # The terminal is closed.

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield follower, lambda: written.decode(errors="replace").replace("\r\n", "\n")
    finally:
        os.close(follower)
        reader.join(PATIENCE_S)
        os.close(leader)

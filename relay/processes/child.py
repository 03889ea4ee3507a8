"""What runs in a child process: it reads jobs from the socket that is its standard input, and writes answers.

The process has no other socket, no settings and no secrets. It ends when the socket is closed, however the process
that started it ended.
"""

import gc
import socket
import struct
from collections.abc import Callable

LENGTH = struct.Struct("<I")
"""A job and its answer are preceded by their lengths."""
GARBAGE_AFTER = 50_000


def run(answer: Callable[[bytes], bytes]) -> None:
    """Answer jobs with `answer` until the socket is closed. This is all that a child process does."""
    gc.set_threshold(GARBAGE_AFTER, 10, 100)
    gc.freeze()
    try:
        _serve(socket.socket(fileno=0), answer)
    except (BrokenPipeError, ConnectionResetError):
        # The process that asked has ended.
        raise SystemExit(0) from None


def _serve(connection: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    connection.sendall(LENGTH.pack(0))  # It is ready.
    while (head := _read(connection, LENGTH.size)) is not None:
        (size,) = LENGTH.unpack(head)
        job = _read(connection, size)
        if job is None:
            return
        answered = answer(job)
        connection.sendall(LENGTH.pack(len(answered)) + answered)


def _read(connection: socket.socket, size: int) -> bytes | None:
    """So many bytes; None: the socket was closed."""
    read = bytearray(size)
    view = memoryview(read)
    at = 0
    while at < size:
        count = connection.recv_into(view[at:])
        if not count:
            return None
        at += count
    return bytes(read)

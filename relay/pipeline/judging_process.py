"""A judging process: it reads jobs from the socket that is its standard input, and writes what the rows are.

The process has no other socket, no settings and no secrets. It imports nothing that talks to a network. It ends when
the socket is closed, however the worker ended.
"""

import gc
import socket
import struct
from collections.abc import Callable

import msgspec

from relay.domain import json_text
from relay.domain.model import StoredEvent
from relay.domain.page_judging import Judged, Judgement, Sighting, judge_rows
from relay.domain.telling import Facts
from relay.store.event_form import pack_event

LENGTH = struct.Struct("<I")
"""A job and its answer are preceded by their lengths."""
GARBAGE_AFTER = 50_000


class Job(msgspec.Struct, array_like=True):
    """Some lines of a page, and what judging them takes."""

    of: Facts
    sightings: list[Sighting]
    before: dict[int, StoredEvent | None]
    columns: list[str] | None
    """The columns of the trigger that filters read; None: all."""


class Answer(msgspec.Struct, array_like=True):
    """What the lines are."""

    rows: list[Judged]
    data: bytes
    """JSON: for each of `rows`, the `data` that filters are asked about."""
    faults: dict[int, tuple[str, int | None]]
    changed: dict[int, int]

    def judgement(self) -> Judgement:
        """As `judge_rows` gives it."""
        return Judgement(self.rows, json_text.decode(self.data), self.faults, self.changed)


encode = msgspec.msgpack.Encoder().encode
read_job: Callable[[bytes], Job] = msgspec.msgpack.Decoder(Job).decode
read_answer: Callable[[bytes], Answer] = msgspec.msgpack.Decoder(Answer).decode


def answer(job: Job) -> Answer:
    """Do a job."""
    judged = judge_rows(job.of, job.sightings, job.before, job.columns, pack=pack_event)
    return Answer(judged.rows, json_text.encode(judged.data), judged.faults, judged.changed)


def serve(connection: socket.socket) -> None:
    """Answer jobs, one after the other, until the worker closes the socket."""
    connection.sendall(LENGTH.pack(0))  # It is ready.
    while (head := _read(connection, LENGTH.size)) is not None:
        (size,) = LENGTH.unpack(head)
        job = _read(connection, size)
        if job is None:
            return
        encoded = encode(answer(read_job(job)))
        connection.sendall(LENGTH.pack(len(encoded)) + encoded)


def _read(connection: socket.socket, size: int) -> bytes | None:
    """So many bytes; None: the worker closed the socket."""
    read = bytearray(size)
    view = memoryview(read)
    at = 0
    while at < size:
        count = connection.recv_into(view[at:])
        if not count:
            return None
        at += count
    return bytes(read)


if __name__ == "__main__":
    gc.set_threshold(GARBAGE_AFTER, 10, 100)
    gc.freeze()
    try:
        serve(socket.socket(fileno=0))
    except (BrokenPipeError, ConnectionResetError):
        # The worker has ended.
        raise SystemExit(0) from None

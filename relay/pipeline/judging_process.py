"""A judging process: it is asked about the lines of pages, and answers what the rows are (relay.processes.child).

It imports nothing that talks to a network.
"""

from collections.abc import Callable

import msgspec

from relay.domain import json_text
from relay.domain.model import StoredEvent
from relay.domain.page_judging import Judged, Judgement, Sighting, judge_rows
from relay.domain.telling import Facts
from relay.processes import child
from relay.store.event_form import pack_event


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


if __name__ == "__main__":
    child.run(lambda job: encode(answer(read_job(job))))

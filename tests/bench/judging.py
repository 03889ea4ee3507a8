"""What ingest does with a row before anything is stored, stage by stage, with the domain's own functions."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_types import codes_of
from relay.domain.identity import New, judge_row, message_id, raw_digest, stable_digest
from relay.domain.matching import Match
from relay.domain.model import ROUTES, MessageId, SourceUid, StoredEvent
from relay.domain.normalising import normalise
from relay.domain.parsing import Row, parse_line
from relay.domain.shapes import Shape, shape_of
from relay.store.events import pack_event
from relay.store.pages import RowCommit
from tests.bench.ground import ROUTE
from tests.bench.upstream import IGRP

PAGE = 500
OWNER = ROUTES.index(ROUTE)
NOW_MS = 1_700_000_000_000
POLLED_AT = envelope.rfc3339(NOW_MS)
Matching = Callable[[bytes, dict[str, Any]], Sequence[Match]]


class Work:
    """One line on its way; each stage leaves here what the next one needs."""

    __slots__ = (
        "classes", "commit", "data", "digest", "line", "message", "number", "raw", "row", "shape", "sight", "source",
        "stored",
    )  # fmt: skip

    row: Row
    raw: bytes
    digest: bytes
    shape: Shape
    classes: int
    sight: New
    message: MessageId
    data: dict[str, Any]
    stored: StoredEvent
    commit: RowCommit

    def __init__(self, line: bytes, source: SourceUid, number: int) -> None:
        self.line = line
        self.source = source
        self.number = number


def _read(work: Work) -> None:
    row = parse_line(work.line)
    assert isinstance(row, Row)
    work.row = row


def _digest(work: Work) -> None:
    work.shape = shape_of(work.row.columns)
    work.raw, work.digest = raw_digest(work.line), stable_digest(work.row.columns, work.shape)


def _judge(work: Work) -> None:
    work.classes = classify(work.row.columns, route=ROUTE)
    sight = judge_row(None, route=OWNER, routes={OWNER}, raw=work.raw, digest=work.digest, classes=work.classes)
    assert isinstance(sight, New)
    work.sight = sight
    work.message = message_id(work.source, space="t", row_id=work.row.row_id, digest=work.digest, recurrence=0)


def _normalise(work: Work) -> None:
    work.data = envelope.data(
        source=work.source,
        igrp=IGRP,
        row_id=work.row.row_id,
        revision=work.sight.revision,
        classes=work.classes,
        trigger=normalise(work.row.columns, work.shape),
    )


def _encode(work: Work) -> None:
    timestamp = envelope.timestamp(work.data["trigger"], created=True, polled_at=POLLED_AT)
    work.stored = StoredEvent(
        id=work.message,
        row_id=str(work.row.row_id),
        stored_at_ms=NOW_MS,
        revision=work.sight.revision,
        types=codes_of(work.classes, None),
        body=envelope.encode(work.data, timestamp=timestamp),
    )


def _matching(match: Matching) -> Callable[[Work], None]:
    def stage(work: Work) -> None:
        lanes = match(work.stored.types, work.data)
        packed = pack_event(work.stored)
        work.commit = RowCommit(work.row.row_id, work.sight.seen.pack(), work.message, work.number, packed, lanes)

    return stage


def judged(lines: Sequence[bytes], match: Matching, *, source: SourceUid) -> tuple[list[RowCommit], dict[str, float]]:
    """What these lines would commit, were each a row that was never seen; and µs of CPU a row by stage."""
    stages = {
        "read": _read,
        "digests": _digest,
        "judge": _judge,
        "normalise": _normalise,
        "encode": _encode,
        "match and pack": _matching(match),
    }
    spent = dict.fromkeys(stages, 0.0)
    made: list[RowCommit] = []
    for first in range(0, len(lines), PAGE):
        # By the page, as a worker does: what is alive at once is what the garbage collector has to look through.
        works = [Work(line, source, first + i) for i, line in enumerate(lines[first : first + PAGE], 1)]
        for name, stage in stages.items():
            began = time.process_time()
            for work in works:
                stage(work)
            spent[name] += time.process_time() - began
        made += (work.commit for work in works)
    return made, {name: seconds / len(lines) * 1e6 for name, seconds in spent.items()}


def commits(lines: Sequence[bytes], match: Matching, *, source: SourceUid) -> list[RowCommit]:
    """What these lines would commit."""
    return judged(lines, match, source=source)[0]

"""What ingest does with a row before anything is stored, stage by stage, with the domain's own functions."""

from collections.abc import Callable, Iterable, Sequence

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_types import codes_of
from relay.domain.identity import New, judge_row, message_id, raw_digest, stable_digest
from relay.domain.matching import Match
from relay.domain.model import ROUTES, SourceUid, StoredEvent
from relay.domain.normalising import normalise
from relay.domain.parsing import Row, parse_line
from relay.store.events import pack_event
from relay.store.pages import RowCommit
from tests.bench.ground import ROUTE
from tests.bench.upstream import IGRP

OWNER = ROUTES.index(ROUTE)
POLLED_AT = envelope.rfc3339(1_700_000_000_000)
Matching = Callable[[bytes, dict[str, object]], Sequence[Match]]


def commits(lines: Iterable[bytes], match: Matching, *, source: SourceUid, first_number: int = 1) -> list[RowCommit]:
    """Make of each line, as a row that was never seen, what its page would commit."""
    return [judge_line(line, match, source=source, number=first_number + i) for i, line in enumerate(lines)]


def judge_line(line: bytes, match: Matching, *, source: SourceUid, number: int) -> RowCommit:
    """All stages for one line."""
    row = parse_line(line)
    assert isinstance(row, Row)
    digest, classes = stable_digest(row.columns), classify(row.columns, route=ROUTE)
    sight = judge_row(None, route=OWNER, routes={OWNER}, raw=raw_digest(line), digest=digest, classes=classes)
    assert isinstance(sight, New)
    trigger = normalise(row.columns)
    data = envelope.data(
        source=source, igrp=IGRP, row_id=row.row_id, revision=sight.revision, classes=classes, trigger=trigger
    )
    stored = StoredEvent(
        id=message_id(source, space="t", row_id=row.row_id, digest=digest, recurrence=0),
        row_id=str(row.row_id),
        stored_at_ms=1_700_000_000_000,
        revision=sight.revision,
        types=codes_of(classes, None),
        body=envelope.encode(data, timestamp=envelope.timestamp(trigger, created=True, polled_at=POLLED_AT)),
    )
    return RowCommit(row.row_id, sight.seen.pack(), stored.id, number, pack_event(stored), match(stored.types, data))

"""Events that nobody stored: what a row, or the example of a type, would be. For dry runs."""

from typing import Any

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_types import EVENT_TYPES, POSTED, code_of, codes_of
from relay.domain.model import MessageId, SourceUid, StoredEvent
from relay.domain.normalising import normalise
from relay.domain.post import Post
from relay.domain.shapes import shape_of

SAMPLE_ID = MessageId("msg_example")


def sample_of_row(row: dict[str, Any], *, source: SourceUid, igrp: int, row_id: int, now_ms: int) -> StoredEvent:
    """The event that a row, as the reports API shows it, would make if it were new."""
    trigger = normalise(row, shape_of(row))
    classes = classify(row, route="all" if "act" in row else "itemisedCalls")
    data = envelope.data(source=source, igrp=igrp, row_id=row_id, revision=1, classes=classes, trigger=trigger)
    timestamp = envelope.timestamp(trigger, created=True, polled_at=envelope.rfc3339(now_ms))
    body = envelope.encode(data, timestamp=timestamp)
    return StoredEvent(SAMPLE_ID, str(row_id), now_ms, 1, codes_of(classes, None), body)


def sample_of_type(event_type: str, body: bytes, *, now_ms: int) -> StoredEvent:
    """The event that the example of a type would be."""
    if event_type not in EVENT_TYPES:
        return StoredEvent(SAMPLE_ID, "", now_ms, 1, bytes([POSTED]), body, post=Post(event_type))
    code = code_of(event_type)
    stored = body.removeprefix(envelope.head(code))
    return StoredEvent(SAMPLE_ID, envelope.decode(stored)["rowId"], now_ms, 1, bytes([code]), stored)

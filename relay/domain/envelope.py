"""The bytes of a callback's body, fixed when the event is stored and never serialised again.

The `type` of a row differs between endpoints, so it stands first and is put before the stored bytes when sending. The
body of a posted event is its payload, to the byte.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from relay.domain import json_text
from relay.domain.event_types import EVENT_TYPES, POSTED, names
from relay.domain.model import Attempt, SourceUid, StoredEvent

HEADS = tuple(b'{"type":"%s",' % name.encode() for name in EVENT_TYPES)
"""What the body of a row begins with, by the code of its type."""


def is_code(code: int) -> bool:
    """Whether this release knows the code of a type."""
    return code < len(HEADS) or code == POSTED


_MINUTE = slice(len('"timestamp":"'), len('"timestamp":"2018-01-16T13:20'))
_SECOND = slice(_MINUTE.stop + 1, _MINUTE.stop + len(":11"))
_MS = slice(_SECOND.stop + 1, _SECOND.stop + len(".000"))
"""Where the stored bytes have their time."""


def head(code: int) -> bytes:
    """What a body begins with."""
    return b"" if code == POSTED else HEADS[code]


def body(event: StoredEvent, code: int) -> bytes:
    """The callback's body, as one of the event's types."""
    return head(code) + event.body


def type_name(event: StoredEvent, code: int) -> str:
    """The name of one of the event's types."""
    return EVENT_TYPES[code] if event.post is None else event.post.event_type


def type_names(event: StoredEvent) -> list[str]:
    """The names of all of the event's types, in order of precedence."""
    return [type_name(event, code) for code in event.types]


def attempted_type(attempt: Attempt) -> str:
    """The event type that a callback had."""
    return attempt.event_type or EVENT_TYPES[attempt.type_code]


def rfc3339(at_ms: int) -> str:
    """A moment in ms as text, to the millisecond.

    >>> rfc3339(1_516_108_811_000)
    '2018-01-16T13:20:11.000Z'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def timestamp(trigger: dict[str, Any], *, created: bool, polled_at: str) -> str:
    """When it happened: of a new row its own time, if it has one; of a change the time of the poll that showed it."""
    happened = trigger.get("triggerDatetime")
    return happened if created and isinstance(happened, str) and _is_time(happened) else polled_at


def _is_time(text: str) -> bool:
    # A time that could be read is RFC 3339 in a normalised trigger; what could not be read is as it came.
    try:
        return text[-1:] == "Z" and len(text) >= len("2018-01-16T13:20:11Z") and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def data(
    *,
    source: SourceUid,
    igrp: int,
    row_id: int,
    revision: int,
    classes: int,
    trigger: dict[str, Any],
    previous: dict[str, Any] | None = None,
    repaired: bool = False,
) -> dict[str, Any]:
    """The body's `data`, which is what filters see. `classes` is a mask, `trigger` a normalised row.

    `repaired` says that the row's line was not valid JSON; only then the field is there.
    """
    kinds = list(names(classes))
    content: dict[str, Any] = {
        "source": source,
        "igrp": igrp,
        "rowId": str(row_id),
        "key": key_of(igrp, str(row_id), kinds),
        "revision": revision,
        "classes": kinds,
    }
    if repaired:
        content["repaired"] = True
    content["trigger"] = trigger
    if previous is not None:
        content["previous"] = previous
    return content


def key_of(igrp: int, row_id: str, classes: Collection[str]) -> str:
    """The body's `data.key`: one for all revisions of a row, for the upserts of receivers.

    The rowIds of `itemisedCalls` are separate from those of all other routes.

    >>> key_of(1234, "141248745", ["call"]), key_of(1234, "7", ["call_charge"])
    ('1234-141248745', '1234-itemisedCalls-7')
    """
    return f"{igrp}-itemisedCalls-{row_id}" if "call_charge" in classes else f"{igrp}-{row_id}"


def encode(content: dict[str, Any], *, timestamp: str) -> bytes:
    """The stored bytes: a body without its leading `{"type":"…",`."""
    return b'"timestamp":"%s","data":%s}' % (timestamp.encode(), json_text.encode(content))


def happened_ms(event: StoredEvent) -> int | None:
    """A row's own time in ms, from the event of its first sight; None: it has none that could be read.

    Upstream times are asked for in UTC (H20). Where the row has none, the event has the time of its first sight.
    """
    body = event.body
    try:
        at_ms = _minute_ms(body[_MINUTE]) + int(body[_SECOND]) * 1000 + int(body[_MS])
    except (ValueError, OverflowError):
        return None
    return None if at_ms == event.stored_at_ms else at_ms


@lru_cache(maxsize=1024)
def _minute_ms(minute: bytes) -> int:
    """A minute of UTC such as `2018-01-16T13:20`, in ms. Kept, because rows of one minute come together."""
    return round(datetime.fromisoformat(f"{minute.decode()}Z").timestamp() * 1000)


def is_repaired(stored: bytes) -> bool:
    """Whether an event's line had to be repaired. Only the relay writes the fields before the trigger."""
    return b'"repaired":true' in stored.partition(b',"trigger":')[0]


def data_of(event: StoredEvent) -> dict[str, Any]:
    """What filters and order keys see of an event, its numbers with their digits."""
    return decode(event.body) if event.post is None else posted_data(event.body)


def posted_data(payload: bytes) -> dict[str, Any]:
    """What filters see of a payload: paths begin in it, also those that name the envelope of a row elsewhere.

    `trigger` names the payload itself, as it names the row of other events.
    """
    fields: dict[str, Any] = json_text.decode(payload)
    return {**fields, "trigger": fields}


def expunged(event: StoredEvent) -> bytes:
    """Stored bytes without their content. They are as long as before, so that what is counted in bytes stays right."""
    stored = event.body
    if event.post is not None:
        return b"{}".ljust(len(stored))
    head, mark, content = stored.partition(b'"data":')
    data = json_text.decode(content[:-1])
    kept = {name: data[name] for name in ("source", "igrp", "rowId", "key", "revision", "classes") if name in data}
    body = head + mark + json_text.encode(kept | {"expunged": True, "trigger": {}})
    return body + b" " * (len(stored) - len(body) - 1) + b"}"


def is_expunged(event: StoredEvent) -> bool:
    """Whether the content of an event was removed. Only the relay writes the fields before the trigger.

    What was posted is kept without the blanks around it, so only the relay writes blanks behind it.
    """
    if event.post is not None:
        return event.body.endswith(b" ")
    return b'"expunged":true' in event.body.partition(b',"trigger":')[0]


def decode(stored: bytes) -> dict[str, Any]:
    """The `data` of a row's stored bytes, its numbers with their digits."""
    content: dict[str, Any] = json_text.decode(b"{" + stored)["data"]
    return content


def previous(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What changed between two triggers: each differing field with its old value, null where it was absent."""
    changed = {name: value for name, value in old.items() if name not in new or new[name] != value}
    return changed | dict.fromkeys(name for name in new if name not in old)


def row_key(event: StoredEvent) -> str:
    """The key of a row's event, also of one that an earlier release stored."""
    head, found, _ = event.body.partition(b',"trigger":')
    data: dict[str, Any] = json_text.decode(b"{" + head + b"}}")["data"] if found else decode(event.body)
    return key_of(data["igrp"], event.row_id, data["classes"])

"""Batches: the id of a request with several events, and what its answer says about each of them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from relay.domain import json_text
from relay.domain.base62 import base62
from relay.domain.outcomes import Failure, Outcome

REFUSES_CONTENT = frozenset({400, 409, 413, 422})
"""Statuses that a single event of a batch can cause."""
OF_ONE = frozenset({"dead", "exists"})
"""Verdicts of an endpoint's own rules that say something of an event, and not of the endpoint."""


class Unnamed(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """An answer names something, and the batch has no such event. The message is for people."""


def batch_id(ids: Sequence[str]) -> str:
    """The `webhook-id` of a batch: the same events in the same order always give the same one.

    >>> batch_id(["msg_1", "msg_2"])
    'batch_2Jb6Xg1MkBYoUgS9rw39d8AY4oA'
    """
    digest = hashlib.sha256(b"relay batch " + "\n".join(ids).encode()).digest()
    return "batch_" + base62(int.from_bytes(digest[:20]))


def joined(parts: Sequence[bytes]) -> bytes:
    """A JSON array of values that are JSON.

    >>> joined([b"1", b"2"])
    b'[1,2]'
    """
    return b"[" + b",".join(parts) + b"]"


def with_id(event_id: str, body: bytes) -> bytes:
    """An event as it stands in a batch, if no expression makes its body.

    >>> with_id("msg_1", b'{"type":"call.created"}')
    b'{"id":"msg_1","body":{"type":"call.created"}}'
    """
    return b'{"id":%s,"body":%s}' % (json_text.encode(event_id), body)


def named(result: bytes | None, events: Sequence[Mapping[str, Any]]) -> set[int]:
    """The places of the events that the expression `failed` names: by their places, or by their ids or keys.

    Raises Unnamed for a result that is anything else, because then nobody can tell which ones failed.
    """
    found = [] if result is None else msgspec.json.decode(result)
    places: set[int] = set()
    for each in found if isinstance(found, list) else [found]:
        those = {at for at, event in enumerate(events) if _is(each, at, event)}
        if not those:
            raise Unnamed(
                "`batch.failed` must give places, ids or keys of events of the batch, and gives something else"
            )
        places |= those
    return places


def _is(name: Any, at: int, event: Mapping[str, Any]) -> bool:
    if isinstance(name, str):
        return name in (event["id"], event["key"])
    return isinstance(name, int | float) and not isinstance(name, bool) and name == at


def may_be_about_one(outcome: Outcome) -> bool:
    """Whether the failure, or the success, of a batch may be that of one of its events.

    An answer that something exists already is one of those: nobody knows if it speaks of all events.
    """
    if outcome.batch_size < 2:
        return False
    if outcome.error:
        return outcome.error == Failure.TRANSFORMATION
    if outcome.ruling is not None:
        return outcome.ruling.verdict in OF_ONE
    return outcome.status in REFUSES_CONTENT

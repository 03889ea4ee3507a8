"""Whether everything came: worked out from what the upstream showed, not from what the relay says."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_types import EVENT_TYPES, codes_of
from relay.domain.filtering import compile_filter
from relay.domain.identity import stable_digest
from relay.domain.model import SourceUid
from relay.domain.normalising import normalise

Callback = tuple[str, str, int]
"""Endpoint, rowId and revision: what can come once."""


class Trouble(Enum):
    """Why an endpoint of the demo does not get what it wants."""

    REFUSES = "refuses"
    """Its receiver verifies with another secret, and refuses every callback."""
    PAUSED = "paused"


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One endpoint of the demo: the path of its URL, and what it wants."""

    name: str
    says: str
    types: tuple[str, ...] | None = None
    """None: every type."""
    filter: dict[str, Any] | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `relay demo --json` prints."""

    shown: int
    stored: int
    verified: int
    duplicates: int
    missing: int

    @property
    def kept_its_promises(self) -> bool:
        """Whether nothing is missing and nothing came twice."""
        return self.missing == 0 and self.duplicates == 0


@dataclass(frozen=True, kw_only=True)
class Event:
    """What the relay must make of one version of a row."""

    types: tuple[str, ...]
    """In order of precedence."""
    data: dict[str, Any]


def events(shown: Iterable[bytes], *, source: SourceUid, igrp: int) -> list[Event]:
    """The events of the rows that the sandbox has shown: lines of `GET /sandbox/shown`, of one route."""
    found = []
    for line in shown:
        row = msgspec.json.decode(line)
        had, last, revision = None, b"", 0
        for version in filter(_is_row, row["versions"]):
            digest = stable_digest(version)
            if digest == last:
                continue  # Only a count or a label differs: the row is what it was.
            mask, last, revision = classify(version, route=row["routes"][0]), digest, revision + 1
            types = tuple(EVENT_TYPES[code] for code in codes_of(mask, had))
            data = envelope.data(
                source=source, igrp=igrp, row_id=int(row["rowId"]), revision=revision, classes=mask,
                trigger=normalise(version),
            )  # fmt: skip
            found.append(Event(types=types, data=data))
            had = mask | (had or 0)
    return found


def readable(shown: Iterable[bytes]) -> int:
    """How many of these rows are JSON: the relay puts the others into quarantine."""
    return sum(any(map(_is_row, msgspec.json.decode(line)["versions"])) for line in shown)


def _is_row(version: Any) -> bool:
    return isinstance(version, dict)


def expected(found: Iterable[Event], subscriptions: Iterable[Subscription]) -> set[Callback]:
    """The callbacks that these events must lead to."""
    wanted = [(each, compile_filter(each.filter) if each.filter else None) for each in subscriptions]
    return {
        (subscription.name, event.data["rowId"], event.data["revision"])
        for event in found
        for subscription, passes in wanted
        if subscription.types is None or not set(event.types).isdisjoint(subscription.types)
        if passes is None or passes(event.data)
    }


@dataclass
class Received:
    """What the receiver has written to its log so far."""

    verified: int = 0
    duplicates: int = 0
    refused: int = 0
    callbacks: set[Callback] = field(default_factory=set)

    def add(self, line: bytes) -> dict[str, Any]:
        """Count one line of the log, and give what it says."""
        note: dict[str, Any] = msgspec.json.decode(line)
        if not note["verified"]:
            self.refused += 1
            return note
        self.verified += 1
        self.duplicates += note["duplicate"]
        self.callbacks.add((note["path"], note["rowId"], note["revision"]))
        return note

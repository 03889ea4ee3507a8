"""The changes that one request makes, gathered where they are written: what the audit log says of the request.

A request opens a journal, and every write of a record that happens in it is noted there with what it was before. So no
operation can change a record without its before and after. Work outside of requests has no journal.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec

from relay.domain.masking import HIDDEN

CHANGES_MOST = 20
"""Changes of one request that are noted; an application's deletion also deletes its endpoints."""
VALUE_MOST = 2048
"""Characters of one value in JSON. A longer one is described by its length."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one object. The fields are those that differ, with secrets hidden."""

    object: str
    """`{kind}/{id}`."""
    before: Mapping[str, Any] | None = None
    """None: it is new, or could not be read, or is not a record."""
    after: Mapping[str, Any] | None = None
    """None: it was deleted, or is not a record."""


@dataclass(slots=True)
class Journal:
    """What one request did."""

    application: str = ""
    """The application that it was about, if it was about one."""
    changes: list[Change] = field(default_factory=list)

    def note(self, change: Change) -> None:
        """Add a change, unless there are too many."""
        if len(self.changes) < CHANGES_MOST:
            self.changes.append(change)


_OPEN: ContextVar[Journal | None] = ContextVar("journal", default=None)


@contextmanager
def opened() -> Iterator[Journal]:
    """A journal for what happens inside."""
    journal = Journal()
    token = _OPEN.set(journal)
    try:
        yield journal
    finally:
        _OPEN.reset(token)


def current() -> Journal:
    """The journal of the request; outside of requests one that nobody reads."""
    return _OPEN.get() or Journal()


def change_of(
    name: str, before: msgspec.Struct | None, after: msgspec.Struct | None, *, secret: tuple[str, ...]
) -> Change:
    """A change of a record, with its differing fields. `secret` names fields whose values are hidden."""
    old, new = ({} if each is None else msgspec.to_builtins(each) for each in (before, after))
    changed = [field for field in {**old, **new} if old.get(field) != new.get(field)]
    return Change(
        name,
        before=None if before is None else _shown(old, changed, secret),
        after=None if after is None else _shown(new, changed, secret),
    )


def _shown(fields: Mapping[str, Any], changed: list[str], secret: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: _bounded(HIDDEN if name in secret and fields[name] else fields[name])
        for name in changed
        if name in fields
    }


def _bounded(value: Any) -> Any:
    size = len(msgspec.json.encode(value))
    return value if size <= VALUE_MOST else f"({size} bytes)"

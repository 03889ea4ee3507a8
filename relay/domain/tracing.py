"""A visitor's trace: which of the rows that the upstream shows are touch points that a reader may have."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_types import TOUCH_POINT
from relay.domain.model import Source
from relay.domain.normalising import normalise
from relay.domain.parsing import Row, parse_line
from relay.domain.privacy import PrivacyRule
from relay.domain.shapes import shape_of

ROWS_AT_MOST = 1000
"""Rows of a visitor that are looked at, the newest: every limit that is documented allows so many."""
_VISITOR = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Visitor ids are UUIDs. Any other text could change the URL that the upstream is asked for."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor did up to a row."""

    touch_points: list[dict[str, Any]]
    """The `data` of each, as events have it, oldest first."""
    complete: bool
    """False: there may be older ones."""


def visitor_of(trigger: Mapping[str, Any], rules: Collection[PrivacyRule]) -> str | None:
    """The visitor of a row. None: it has none, or privacy rules mask or drop it, so a reader must not follow it."""
    visitor = trigger.get("vid")
    if any(rule.field == "vid" and rule.action != "hash" for rule in rules) or not isinstance(visitor, str):
        return None
    return visitor if _VISITOR.fullmatch(visitor) else None


def trace_of(
    source: Source,
    lines: Iterable[bytes],
    *,
    visitor: str,
    until: int,
    passes: Callable[[dict[str, Any]], bool],
    complete: bool,
) -> Trace:
    """The touch points among the lines of an answer, up to the rowId `until`.

    The upstream is not trusted to have filtered or sorted: rows of other visitors, later rows and repeated rows are
    left out, as are lines that cannot be read and rows that do not pass.
    """
    found: dict[int, dict[str, Any]] = {}
    for line in lines:
        row = parse_line(line)
        if not isinstance(row, Row) or row.row_id > until or row.columns.get("vid") != visitor:
            continue
        classes = classify(row.columns, route="all")
        if not classes & TOUCH_POINT:
            continue
        data = envelope.data(
            source=source.uid,
            igrp=source.igrp,
            row_id=row.row_id,
            revision=1,
            classes=classes,
            trigger=normalise(row.columns, shape_of(row.columns)),
            repaired=row.repaired,
        )
        if passes(data):
            found[row.row_id] = data
    return Trace(touch_points=[found[row_id] for row_id in sorted(found)], complete=complete)

"""Rows implausibly far ahead of the others: held and shown until further rows arrive next to them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from relay.domain.identity import raw_digest
from relay.domain.model import Source
from relay.domain.plausibility import FAR_AHEAD, look_ahead
from relay.pipeline.lines import Line
from relay.pipeline.route_poll import RoutePoll
from relay.store.routes import Routes


class Held(NamedTuple):
    """What a page has apart from its rows far ahead."""

    row_ids: list[int]
    """The rowIds that can be believed, in the page's order."""
    rejected: int
    """The lines that count towards the limit, and whose rowIds are not among those."""
    changes: dict[str, Any]
    """Of the route's state, once the page is taken in."""
    said: str | None
    """What the route's state says of it."""


async def hold_far_rows(
    routes: Routes, source: Source, poll: RoutePoll, lines: Sequence[Line], *, limit: int, is_cut: bool
) -> Held:
    """Mark the lines that must be held, to be set aside with the page's others.

    Lines that were held before and are believed now are taken off the list of those that were set aside.
    """
    row_ids = [line.row_id for line in lines if line.row_id is not None]
    ahead = look_ahead(poll.state, row_ids, limit=limit, until=poll.ceiling, is_cut=is_cut)
    changes: dict[str, Any] = {"held_from": ahead.first, "held_first": ahead.when_first, "held_since": ahead.since}
    if any(getattr(poll.state, name) != value for name, value in changes.items()):
        for line in lines:
            if line.row_id in ahead.held:
                line.reason = FAR_AHEAD
        released = [raw_digest(line.raw).hex() for line in lines if line.row_id in ahead.released]
        await routes.release(source.uid, released)
    # In a page of nothing else, no row before them can be missing.
    counted = 0 if ahead.fills_page else len(ahead.held)
    said = f"{FAR_AHEAD} (from rowId {ahead.first} on)" if ahead.held else None
    return Held(ahead.believed, len(lines) - len(row_ids) + counted, changes, said)

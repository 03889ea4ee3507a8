"""A walk over all that was not delivered, step by step, that can be left anywhere and taken up again."""

from contextlib import aclosing

from relay.api.undelivered_steps import (
    AtDead,
    AtDropped,
    AtWaiting,
    Found,
    Place,
    Scope,
    Steps,
    dead_steps,
    dropped_steps,
    waiting_steps,
)
from relay.wiring import Stores

STEPS_AT_MOST = 2_000
"""Deliveries, lanes and endpoints that one request looks at, whatever of them is asked for: half a second."""


async def walk(
    stores: Stores, scope: Scope, *, start: Place | None, limit: int, back: bool = False
) -> tuple[list[Found], Place | None]:
    """Up to `limit` deliveries from `start` on, and where to continue; None: that was all.

    By source the dead ones, newest first; then by source and endpoint those that were dropped; then by endpoint the
    deliveries that wait for disabled or paused ones. With `back`, all of that backwards.
    """
    found: list[Found] = []
    last, steps = start, 0
    for part in _parts(stores, scope, start, back=back):
        async with aclosing(part):
            async for place, each in part:
                if steps == STEPS_AT_MOST or (each is not None and len(found) == limit):
                    return found, last
                found += [] if each is None else [each]
                last, steps = place, steps + 1
    return found, None


def _parts(stores: Stores, scope: Scope, start: Place | None, *, back: bool) -> list[Steps]:
    """The parts of the walk that are left, and asked for."""
    dead = start if isinstance(start, AtDead) else None
    dropped = start if isinstance(start, AtDropped) else None
    waiting = start if isinstance(start, AtWaiting) else None
    parts = [
        (AtDead, "dead", dead_steps(stores, scope, dead, back=back)),
        (AtDropped, "dead", dropped_steps(stores, scope, dropped, back=back)),
        (AtWaiting, "waiting", waiting_steps(stores, scope, waiting, back=back)),
    ]
    if back:
        parts.reverse()
    if start is not None:
        first = [kind for kind, _, _ in parts].index(type(start))
        parts = parts[first:]
    return [steps for _, state, steps in parts if scope.state in (None, state)]

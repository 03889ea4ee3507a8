"""Setting lines aside that cannot be read, and reporting that their number grows."""

from collections.abc import Mapping
from typing import Any

import structlog

from relay.domain.model import Source
from relay.pipeline.clock import Clock
from relay.store.operations import Operations
from relay.store.routes import Routes, Token

log = structlog.get_logger()

CONDITION = "quarantine:"
"""How the names of these conditions begin: `quarantine:{source}`."""


class Quarantine:
    """The lines of all sources that were set aside."""

    def __init__(self, *, routes: Routes, operations: Operations, clock: Clock) -> None:
        self._routes = routes
        self._operations = operations
        self._clock = clock

    async def set_aside(self, source: Source, route: str, lines: Mapping[str, dict[str, Any]], *, token: Token) -> int:
        """Keep lines, by the digest (hex) of each, and give how many are new. Raises Fenced.

        The first line of a source is an operational event, and so is each doubling of their number: a source whose rows
        are all broken must not fill the log. A crash before the event is made up for by the next page with these lines.
        """
        done = await self._routes.set_aside(source.uid, lines, token=token)
        log.warning("lines_set_aside", source=source.uid, route=route, lines=len(lines))
        data = {"source": source.uid, "route": route, "lines": done.kept, "total": done.total}
        condition = f"{CONDITION}{source.uid}", str(doublings(done.total))
        await self._operations.note("quarantine.growing", data, now_ms=self._clock.now_ms(), condition=condition)
        return done.new


def doublings(total: int) -> int:
    """How often a number of lines has doubled, from 1 for one line on.

    >>> [doublings(total) for total in (0, 1, 2, 3, 4, 1000)]
    [0, 1, 2, 2, 3, 10]
    """
    return total.bit_length()

"""The rows of all routes of a space, side by side, in ascending order."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from relay.domain.model import Source
from relay.pipeline.reconciling.row_ids import RowIds, Stretch


@dataclass(slots=True)
class _Stream:
    """The rows of one route, as far as they were read and not taken."""

    stretches: AsyncGenerator[Stretch, None]
    reached: int
    row_ids: list[int] = field(default_factory=list)


class Streams:
    """Reads the routes, each a page ahead at most."""

    def __init__(self, rows: RowIds, source: Source, routes: Sequence[str], *, after: int, until: int) -> None:
        self.after = after
        """Everything up to this rowId was taken."""
        self.until = until
        self._streams = {
            route: _Stream(rows.rows_in(source, route, after=after, until=until), after) for route in routes
        }

    async def ahead(self) -> int:
        """Read until all routes are known beyond `after`; gives up to which rowId they are. Raises as RowIds does."""
        for stream in self._streams.values():
            if stream.reached > self.after:
                continue
            stretch = await anext(stream.stretches, None)
            stream.row_ids = [] if stretch is None else stretch.row_ids
            stream.reached = self.until if stretch is None else stretch.reached
        return min((stream.reached for stream in self._streams.values()), default=self.until)

    def take(self, until: int) -> dict[str, list[int]]:
        """Take the rows up to a rowId that is known for all routes."""
        taken = {}
        for route, stream in self._streams.items():
            taken[route] = [row_id for row_id in stream.row_ids if row_id <= until]
            stream.row_ids = stream.row_ids[len(taken[route]) :]
        self.after = until
        return taken

    async def close(self) -> None:
        """Read no more."""
        for stream in self._streams.values():
            await stream.stretches.aclose()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, rows: RowIds, source: Source, routes: Sequence[str], *, after: int, until: int
    ) -> AsyncIterator[Self]:
        """The streams, closed at the end."""
        streams = cls(rows, source, routes, after=after, until=until)
        try:
            yield streams
        finally:
            await streams.close()

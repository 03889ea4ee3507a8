"""Old rows: where the books have a delivery that a replay chose, and the relay no longer has the event."""

from collections.abc import Mapping, Sequence

from relay.domain.books import DROPPED, State
from relay.domain.model import SourceUid
from relay.domain.reading.too_old import TooOld, chosen
from relay.store.books import Books
from relay.store.events import Events
from relay.store.routes import space_of
from relay.store.undelivered import Undelivered


class OldRows:
    """Looks rows up in the books."""

    def __init__(self, *, books: Books, events: Events, undelivered: Undelivered) -> None:
        self._books = books
        self._events = events
        self._undelivered = undelivered

    async def first(self, source: SourceUid, route: str, too_old: TooOld, *, after: int, until: int) -> int | None:
        """The first row above `after` and up to `until` that is to be read again; None: there is none."""
        async for rows in self._books.rows(source, space_of(route), after=after, until=until):
            if found := await self._chosen(source, too_old, rows):
                return min(found)
        return None

    async def among(self, source: SourceUid, route: str, too_old: TooOld, row_ids: Sequence[int]) -> Mapping[int, int]:
        """Those of some rows (ascending) that are to be read again, each with the number of its old event."""
        found: dict[int, int] = {}
        if not row_ids:
            return found
        wanted = set(row_ids)
        async for rows in self._books.rows(source, space_of(route), after=row_ids[0] - 1, until=row_ids[-1]):
            found |= await self._chosen(source, too_old, {row: of for row, of in rows.items() if row in wanted})
        return dict(sorted(found.items()))

    async def replaced(self, source: SourceUid, too_old: TooOld, numbers: Sequence[int]) -> None:
        """Note that old events are stored again under other numbers, so that no later replay chooses them."""
        told = await self._states(source, too_old, numbers)
        owed = [number for number in numbers if told[number] is not State.NOT_OWED]
        deliveries = [(too_old.endpoint, number) for number in owed]
        # Before the books, so that it is done again if the process dies in between.
        await self._undelivered.replaced(source, [each for each in deliveries if told[each[1]] in DROPPED])
        await self._books.settle(source, deliveries, State.REPLACED)

    async def _chosen(self, source: SourceUid, too_old: TooOld, rows: Mapping[int, Sequence[int]]) -> dict[int, int]:
        told = await self._states(source, too_old, [number for of in rows.values() for number in of])
        found = {row: chosen(too_old, of, [told[number] for number in of]) for row, of in rows.items()}
        kept = await self._events.read(source, [number for number in found.values() if number is not None])
        return {row: number for row, number in found.items() if number is not None and number not in kept}

    async def _states(self, source: SourceUid, too_old: TooOld, numbers: Sequence[int]) -> dict[int, State]:
        found = await self._books.states(source, [(too_old.endpoint, number) for number in numbers])
        # What can't be read is damage. As a delivery that waits, it is left alone.
        return {number: found.get((too_old.endpoint, number), State.WAITING) for number in numbers}

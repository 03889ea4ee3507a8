"""Comparing: one window of rows after the other, against the upstream and against the books."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from msgspec.structs import replace

from relay.domain.books import State, digits_of
from relay.domain.model import EndpointId, Source, SourceUid
from relay.domain.reconciling import Counts, Difference, Fate, Reach, compare_deliveries, compare_rows, fate_of
from relay.pipeline.reconciling.kept import Kept
from relay.pipeline.reconciling.row_ids import RowIds
from relay.pipeline.reconciling.streams import Streams
from relay.store.books import Since
from relay.store.events import bucket_of
from relay.store.keys import EVENTS_PER_BUCKET
from relay.store.places import Places
from relay.store.reconciliations import Run
from relay.store.route_states import MOST_ROW_ID
from relay.store.routes import space_of

ROWS_AT_ONCE = 5_000
"""Rows with events in a window."""
WAITS = f"{State.WAITING:x}"


@dataclass(frozen=True, slots=True)
class Ground:
    """What does not change during a turn."""

    source: Source
    reaches: dict[str, Reach]
    since: Since
    places: Places

    def routes(self, space: str) -> list[str]:
        """The routes of a space that have rows."""
        return [route for route in self.reaches if space_of(route) == space]

    def low(self, space: str) -> int:
        """Up to this rowId there is nothing to compare."""
        begins = [self.reaches[route].begin for route in self.routes(space)]
        return max(min(begins), self.since.rows.get(space, 0))

    def high(self, space: str) -> int:
        """Behind this rowId neither."""
        return max(self.reaches[route].cursor for route in self.routes(space))

    def settled(self, space: str) -> int:
        """Up to this rowId all routes have brought all rows."""
        return min(self.reaches[route].settled for route in self.routes(space))


class Comparing:
    """Compares the rows of a reconciliation."""

    def __init__(self, *, rows: RowIds, kept: Kept, is_gone: Callable[[EndpointId], bool], settled_s: float) -> None:
        """`is_gone` says whether an endpoint was deleted. After `settled_s` the relay knows of a row that came late."""
        self._rows = rows
        self._runs, self._books, self._routes = kept.reconciliations, kept.books, kept.routes
        self._is_gone = is_gone
        self._settled_ms = round(settled_s * 1000)

    async def ground(self, source: Source, run: Run, *, now_ms: int) -> Ground:
        """Where the source stands. For a scheduled run, rows that the relay may still find are not missing."""
        begins = await self._books.begins(source.uid, source.routes)
        reaches = {}
        for state in await self._routes.states(source.uid, source.routes):
            route, cursor, begin = state.route, state.cursor, begins.get(state.route)
            if begin is None or cursor is None:
                continue
            settled: int | None = cursor
            if run.scheduled:
                settled = await self._runs.cursor_at(source.uid, route, time_ms=now_ms - self._settled_ms)
            reaches[route] = Reach(begin=begin, cursor=cursor, settled=begin if settled is None else settled)
        return Ground(source, reaches, await self._books.since(source.uid), self._books.places(source.uid))

    async def compare(self, ground: Ground, run: Run, *, is_over: Callable[[], bool]) -> Run:
        """Compare further windows until the turn is over, or all are compared. Raises what the upstream raises."""
        for space in sorted({space_of(route) for route in ground.reaches}):
            if space not in run.ends:
                run = await self._begin(ground, run, space)
            after, until = run.position[space], run.ends[space]
            async with Streams.opened(
                self._rows, ground.source, ground.routes(space), after=after, until=until
            ) as streams:
                while streams.after < until:
                    if is_over():
                        return run
                    run = await self._window(ground, run, space, streams)
        return await self._runs.save(ground.source.uid, run, replace(run, phase="checking", place=0))

    async def _begin(self, ground: Ground, run: Run, space: str) -> Run:
        since, before = await self._times(ground, run, space)
        after = max(ground.low(space), run.range.after, since, run.position.get(space, 0))
        until = min(ground.high(space), before, MOST_ROW_ID if run.range.until is None else run.range.until)
        begun = replace(
            run,
            position=run.position | {space: after},
            ends=run.ends | {space: max(after, until)},
            settled=run.settled | {space: ground.settled(space)},
        )
        return await self._runs.save(ground.source.uid, run, begun)

    async def _times(self, ground: Ground, run: Run, space: str) -> tuple[int, int]:
        """Between which rowIds the routes were at the times that were asked for."""
        since, before = [0], [MOST_ROW_ID]
        for time_ms, found in ((run.range.since_ms, since), (run.range.until_ms, before)):
            if time_ms is not None:
                routes = ground.routes(space)
                cursors = [await self._runs.cursor_at(ground.source.uid, r, time_ms=time_ms) for r in routes]
                found[:] = [cursor or 0 for cursor in cursors]
        return min(since), max(before)

    async def _window(self, ground: Ground, run: Run, space: str, streams: Streams) -> Run:
        uid, after = ground.source.uid, streams.after
        stored, until = await self._stored(uid, space, after, await streams.ahead())
        shown = streams.take(until)
        since = ground.since.rows.get(space, 0)
        found = compare_rows(space, shown=shown, stored=stored, reaches=ground.reaches, since=since)
        rows = {number: row for row, of in stored.items() for number in of if number >= ground.since.number}
        endpoints = dict(run.endpoints)
        found += await self._delivered(ground, space, rows, endpoints)
        found.sort(key=lambda each: each.row_id)
        after_it = replace(
            run,
            position=run.position | {space: until},
            shown=run.shown + len({row_id for row_ids in shown.values() for row_id in row_ids}),
            stored=run.stored + len(stored),
            events=run.events + len(rows),
            found=dict(Counter(run.found) + Counter(each.kind for each in found)),
            endpoints=endpoints,
            failures=0,
            error=None,
        )
        return await self._runs.save(uid, run, after_it, differences=found)

    async def _delivered(
        self, ground: Ground, space: str, rows: Mapping[int, int], endpoints: dict[EndpointId, Counts]
    ) -> list[Difference]:
        """Count what became of the deliveries of some events (numbers with their rows), and give the differences.

        Other tasks of the process get their turn between some endpoints and the next ones.
        """
        differences = []
        for block, numbers in groupby(sorted(rows), key=bucket_of):
            of = list(numbers)
            offsets = [number % EVENTS_PER_BUCKET for number in of]
            async for some in self._books.block(ground.source.uid, block):
                digits = {e: digits_of(halves, offsets) for e, halves in some.items() if not self._is_gone(e)}
                await ground.places.read([endpoint for endpoint, told in digits.items() if WAITS in told])
                for endpoint, told in digits.items():
                    counts, found = compare_deliveries(
                        space, endpoint, told, numbers=of, rows=rows, is_somewhere=ground.places.has
                    )
                    if counts.owed:
                        endpoints[endpoint] = endpoints.get(endpoint, Counts()).plus(counts)
                        differences += found
        return differences

    async def _stored(self, uid: SourceUid, space: str, after: int, until: int) -> tuple[dict[int, list[int]], int]:
        """The rows with events above `after`, and up to which rowId: to `until` unless there are many."""
        found: dict[int, list[int]] = {}
        async for part in self._books.rows(uid, space, after=after, until=until):
            found |= part
            if len(found) >= ROWS_AT_ONCE:
                return found, max(found)
        return found, until

    async def fates(self, ground: Ground, listed: Sequence[Difference]) -> dict[tuple[EndpointId, int], Fate]:
        """What became by now of deliveries that are listed, and are still owed."""
        await ground.places.read({each.endpoint for each in listed if each.kind == "undelivered"})
        kinds = {(each.endpoint, each.number): each.kind for each in listed if not self._is_gone(each.endpoint)}
        states = await self._books.states(ground.source.uid, kinds)
        return {
            each: fate_of(state, is_somewhere=partial(_is_somewhere, ground.places, kinds[each], *each))
            for each, state in states.items()
            if state is not State.NOT_OWED
        }


def _is_somewhere(places: Places, kind: str, endpoint: EndpointId, number: int) -> bool:
    """One that was not to be found has to be found by now. Any other one went further since."""
    return kind != "undelivered" or places.has(endpoint, number)

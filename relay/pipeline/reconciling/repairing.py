"""Repairing: rows that are missing become events, and deliveries are put into lanes again."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from relay.domain.books import State
from relay.domain.model import Endpoint, EndpointId, Source
from relay.domain.reading.audience import Audience
from relay.domain.reconciling import Difference, fate_of
from relay.domain.references import resent
from relay.errors import NotFound
from relay.pipeline.ingest import Ingest
from relay.pipeline.reconciling.kept import Kept
from relay.pipeline.reconciling.row_ids import RowIds
from relay.store.places import Places
from relay.store.reconciliations import Run
from relay.store.route_states import MOST_ROW_ID
from relay.store.routes import Token, space_of

AT_ONCE = 25
"""Differences in a step: each can take a request."""
APART = 1_000
"""Rows whose ids are further apart than this are asked for by requests of their own."""


@dataclass(frozen=True, slots=True)
class _Remaining:
    """The differences that are still there when a repair looks at them again."""

    there: list[Difference]
    unknown: list[Difference]
    """The books do not have these deliveries any more, or their endpoints can't be read: they are left alone."""


class Repairing:
    """Repairs the differences of a reconciliation, some at a time."""

    def __init__(
        self,
        *,
        rows: RowIds,
        ingest: Ingest,
        kept: Kept,
        endpoint: Callable[[EndpointId], Endpoint | None],
        is_gone: Callable[[EndpointId], bool],
    ) -> None:
        """`endpoint` gives an endpoint by its id; None: it can't be read. `is_gone`: it was deleted."""
        self._rows = rows
        self._ingest = ingest
        self._pages, self._books, self._events = kept.pages, kept.books, kept.events
        self._undelivered, self._runs = kept.undelivered, kept.reconciliations
        self._endpoint = endpoint
        self._is_gone = is_gone

    async def repair(self, source: Source, run: Run, token: Token, *, now_ms: int) -> Run:
        """Repair the next differences. Raises what the upstream, ingest and the store raise; then none is counted.

        A difference that is repaired twice costs a duplicate, which its `webhook-id` shows.
        """
        listed = await self._runs.differences(source.uid, run.id, first=run.place, limit=AT_ONCE)
        if not listed:
            return await self._runs.save(source.uid, run, replace(run, phase="done", ended_at_ms=now_ms))
        wanted = [each for each in listed if each.kind in run.repair]
        remaining = await self._remaining(source, wanted)
        left = [each for each in remaining.there if not (each.endpoint and await self._sent(source, each))]
        restored = await self._restored(source, token, left)
        repaired = len(wanted) - len(remaining.unknown) - len(left) + restored
        after = replace(
            run,
            place=run.place + len(listed),
            repaired=run.repaired + repaired,
            unrepaired=run.unrepaired + len(wanted) - repaired,
            failures=0,
            error=None,
        )
        return await self._runs.save(source.uid, run, after)

    async def _remaining(self, source: Source, wanted: Sequence[Difference]) -> _Remaining:
        """Whether deliveries are still differences: they may have been sent since, by another repair or by hand."""
        owed = [each for each in wanted if each.endpoint and not self._is_gone(each.endpoint)]
        # Places first: a delivery that was in no lane yet, and has ended since, has a state that says so.
        places = self._books.places(source.uid)
        await places.read({each.endpoint for each in owed if each.kind == "undelivered"})
        states = await self._books.states(source.uid, [(each.endpoint, each.number) for each in owed])
        remaining = _Remaining([each for each in wanted if not each.endpoint], [])
        for each in owed:
            state = states.get((each.endpoint, each.number), State.NOT_OWED)
            if state is State.NOT_OWED or self._endpoint(each.endpoint) is None:
                remaining.unknown.append(each)
            elif fate_of(state, is_somewhere=partial(_waits, places, each)) == each.kind:
                remaining.there.append(each)
        return remaining

    async def _sent(self, source: Source, each: Difference) -> bool:
        """Put a delivery into its lane, if its event is kept."""
        endpoint = self._endpoint(each.endpoint)
        event = (await self._events.read(source.uid, [each.number])).get(each.number)
        # A number can be given twice, so the event must be one of the row.
        if endpoint is None or event is None or event.row_id != str(each.row_id):
            return False
        reference = resent(each.number, event, endpoint.event_types)
        try:
            await self._undelivered.resend(source.uid, endpoint.id, reference, lost=each.kind == "undelivered")
        except NotFound:
            return False
        return True

    async def _restored(self, source: Source, token: Token, left: Sequence[Difference]) -> int:
        """Have rows become events again; gives for how many differences that worked."""
        restored = 0
        for space in sorted({each.space for each in left}):
            of = [each for each in left if each.space == space]
            missing = {each.row_id for each in of if not each.endpoint}
            # Rows that a turn which was cut short has taken in are there.
            missing -= await self._books.have(source.uid, space, missing)
            lacking = _by_endpoints(of)
            for route in (route for route in source.routes if space_of(route) == space):
                asked = {each.row_id for each in of if each.route in ("", route)}
                missing -= await self._taken_in(source, route, token, asked & missing)
                for endpoints, lacked in lacking.items():
                    lacked.difference_update(await self._taken_in(source, route, token, asked & lacked, only=endpoints))
            rows = missing.union(*lacking.values())
            done = [each for each in of if each.row_id not in rows]
            # The event has another number now, which the endpoint is owed if it still wants the row.
            replaced = [(each.endpoint, each.number) for each in done if each.endpoint]
            await self._undelivered.replaced(source.uid, replaced)
            await self._books.settle(source.uid, replaced, State.REPLACED)
            restored += len(done)
        return restored

    async def _taken_in(
        self,
        source: Source,
        route: str,
        token: Token,
        rows: Collection[int],
        *,
        only: frozenset[EndpointId] | None = None,
    ) -> set[int]:
        """Read rows from the upstream, and take them in; gives those that are events.

        They are taken in as if they had never been seen, or told again to some endpoints `only`.
        """
        space, shown, readable = space_of(route), set[int](), set[int]()
        audience = None if only is None else Audience(endpoints=only, live_from=MOST_ROW_ID)
        for first, last in _spans(rows):
            async with aclosing(
                self._rows.rows_in(source, route, after=first - 1, until=last, whole=True)
            ) as stretches:
                async for stretch in stretches:
                    row_ids = [row_id for row_id in stretch.row_ids if row_id in rows]
                    lines = [line for line in stretch.lines if line.row_id in rows]
                    if audience is None:
                        await self._pages.unlearn(source.uid, space, row_ids)
                    await self._ingest.take_in(
                        source, route, lines, row_ids=row_ids, cursor=None, token=token, audience=audience
                    )
                    shown.update(row_ids)
                    readable.update(line.row_id for line in lines if line.row_id is not None and not line.reason)
        return (shown & readable) if audience else await self._books.have(source.uid, space, shown)


def _waits(places: Places, each: Difference) -> bool:
    """Whether a delivery stands where it should: one that was given up, and waits again, was sent again since."""
    return each.kind != "undelivered" or places.has(each.endpoint, each.number)


def _by_endpoints(differences: Iterable[Difference]) -> dict[frozenset[EndpointId], set[int]]:
    """Rows by the endpoints that lack them."""
    endpoints: dict[int, set[EndpointId]] = {}
    for each in differences:
        if each.endpoint:
            endpoints.setdefault(each.row_id, set()).add(each.endpoint)
    rows: dict[frozenset[EndpointId], set[int]] = {}
    for row_id, of in endpoints.items():
        rows.setdefault(frozenset(of), set()).add(row_id)
    return rows


def _spans(rows: Collection[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of rows that are close to each other."""
    first = last = None
    for row in sorted(rows):
        if first is not None and last is not None and row - last > APART:
            yield first, last
            first = row
        first, last = row if first is None else first, row
    if first is not None and last is not None:
        yield first, last

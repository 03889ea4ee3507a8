"""Reconciliations: what Infinity shows, what the relay stored, and what each endpoint confirmed."""

import re

from litestar import Controller, get, post
from litestar.di import Provide
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.dependencies import ClockGiven, PagingGiven, StoresGiven
from relay.api.paging import in_memory, provide_newest_first, read_page
from relay.api.schemas.common import ListOut
from relay.api.schemas.reconciliations import (
    DifferenceOut,
    EndpointCountsOut,
    ReconciliationIn,
    ReconciliationOut,
    RepairIn,
    show_counts,
    show_difference,
    show_reconciliation,
)
from relay.domain.model import SourceUid
from relay.domain.names import source_uid
from relay.domain.principals import Resource
from relay.domain.reconciling import Difference
from relay.errors import NotFound
from relay.store.endpoints import ENDPOINT_ID
from relay.store.reconciliations import PREFIX
from relay.store.records import Page
from relay.wiring import Stores

RECONCILIATION_ID = re.compile(rf"{PREFIX}[0-9A-Za-z]{{27}}")
PLACE = re.compile(r"[0-9]{5}")
"""Where a difference stands in its list."""
Placed = tuple[int, Difference]


class ReconciliationController(Controller):
    """`/api/v1/source/{uid}/reconciliation`."""

    path = "/source/{uid:str}/reconciliation"
    tags = ["reconciliation"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.SOURCE)

    @post("/", summary="Reconcile a source", status_code=202)
    async def reconcile(
        self, uid: FromPath[str], data: JSONBody[ReconciliationIn], stores: StoresGiven, clock: ClockGiven
    ) -> ReconciliationOut:
        """Compare what Infinity shows with what the relay stored, and with what each endpoint confirmed.

        Workers do this in the background: see `state`. At most 5 reconciliations of a source can be under way (409).
        The relay keeps the newest 30. While a source is paused, its reconciliations wait.
        """
        source = await _source(uid, stores)
        run = await stores.reconciliations.ask(source, data.range(), now_ms=clock.now_ms())
        return show_reconciliation(source, run)

    @get(
        "/",
        summary="List reconciliations",
        dependencies={"paging": Provide(provide_newest_first, sync_to_thread=False)},
    )
    async def list_reconciliations(
        self, uid: FromPath[str], stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[ReconciliationOut]:
        """List the reconciliations of a source, also those that the relay began by itself, newest first."""
        source = await _source(uid, stores)
        runs = {run.id: run for run in await stores.reconciliations.newest(source)}
        return await read_page(
            in_memory(runs),
            paging,
            key=lambda run: run.id,
            show=lambda run: show_reconciliation(source, run),
            form=RECONCILIATION_ID,
        )

    @get("/{reconciliation_id:str}", summary="Get a reconciliation")
    async def get_reconciliation(
        self, uid: FromPath[str], reconciliation_id: FromPath[str], stores: StoresGiven
    ) -> ReconciliationOut:
        """Get the progress of a reconciliation, and how many differences it found."""
        source = await _source(uid, stores)
        return show_reconciliation(source, await stores.reconciliations.get(source, _id(reconciliation_id)))

    @get("/{reconciliation_id:str}/difference", summary="List differences")
    async def list_differences(
        self, uid: FromPath[str], reconciliation_id: FromPath[str], stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[DifferenceOut]:
        """List the differences that a reconciliation found, by the kind of row and the rowId: the first 10,000.

        While it is `comparing`, some of them may be on their way: the relay checks each of them again at the end.
        """
        source = await _source(uid, stores)
        run = await stores.reconciliations.get(source, _id(reconciliation_id))

        async def read(*, after: str | None, limit: int, descending: bool) -> Page[Placed]:
            return Page(await _listed(stores, source, run.id, after=after, limit=limit, descending=descending))

        page = await read_page(read, paging, key=lambda each: f"{each[0]:05d}", show=lambda each: each[1], form=PLACE)
        events = await stores.events.read(source, {each.number for each in page.data if each.number})
        return ListOut(
            data=[show_difference(each, events.get(each.number)) for each in page.data],
            iterator=page.iterator,
            prev_iterator=page.prev_iterator,
            done=page.done,
        )

    @get("/{reconciliation_id:str}/endpoint", summary="List what endpoints confirmed")
    async def list_endpoints(
        self, uid: FromPath[str], reconciliation_id: FromPath[str], stores: StoresGiven, paging: PagingGiven
    ) -> ListOut[EndpointCountsOut]:
        """List the endpoints that are owed messages of the range, with what became of these messages."""
        source = await _source(uid, stores)
        counts = (await stores.reconciliations.get(source, _id(reconciliation_id))).endpoints
        return await read_page(
            in_memory({endpoint: (endpoint, each) for endpoint, each in counts.items()}),
            paging,
            key=lambda each: each[0],
            show=lambda each: show_counts(*each),
            form=ENDPOINT_ID,
        )

    @post("/{reconciliation_id:str}/repair", summary="Repair differences", status_code=202)
    async def repair(
        self,
        uid: FromPath[str],
        reconciliation_id: FromPath[str],
        data: JSONBody[RepairIn],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> ReconciliationOut:
        """Repair the listed differences of a reconciliation that is `done` (409 if it is not).

        The relay reads missing rows from Infinity and stores their messages. It sends undelivered messages again, and
        reads those from Infinity that it no longer has. The `webhook-id` of a row that did not change is the same.
        """
        source, run = await _source(uid, stores), _id(reconciliation_id)
        begun = await stores.reconciliations.repair(source, run, data.wanted(), now_ms=clock.now_ms())
        return show_reconciliation(source, begun)


async def _source(uid: str, stores: Stores) -> SourceUid:
    return (await stores.sources.get(source_uid(uid))).uid


def _id(text: str) -> str:
    if not RECONCILIATION_ID.fullmatch(text):
        raise NotFound(f"there is no reconciliation {text}")
    return text


async def _listed(
    stores: Stores, source: SourceUid, run: str, *, after: str | None, limit: int, descending: bool
) -> list[Placed]:
    """Up to `limit` differences from behind a place on, with their places."""
    count = await stores.reconciliations.count(source, run)
    first = 0 if after is None else int(after) + 1
    if descending:
        end = count if after is None else min(count, int(after))
        first, limit = max(0, end - limit), min(limit, end)
    found = await stores.reconciliations.differences(source, run, first=first, limit=limit) if limit else []
    placed = list(enumerate(found, first))
    return placed[::-1] if descending else placed

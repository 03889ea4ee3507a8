"""Operational events: what the relay did on its own, and the problems that it found."""

import re

from litestar import Controller, get
from litestar.di import Provide

from relay.api.access import needs
from relay.api.dependencies import PagingGiven, StoresGiven
from relay.api.paging import provide_newest_first, read_page
from relay.api.schemas.common import ListOut
from relay.api.schemas.undelivered import OperationalEventOut, show_operation
from relay.domain.principals import Resource
from relay.store.operations import Operation
from relay.store.records import Page

POSITION = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


class OperationalEventController(Controller):
    """`/api/v1/operational-event`."""

    path = "/operational-event"
    tags = ["operational event"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.OPERATIONAL_EVENT)
    dependencies = {"paging": Provide(provide_newest_first, sync_to_thread=False)}  # noqa: RUF012

    @get("/", summary="List operational events")
    async def list_operational_events(self, stores: StoresGiven, paging: PagingGiven) -> ListOut[OperationalEventOut]:
        """List what the relay did on its own, such as disabling an endpoint: the last 10,000, newest first."""

        async def read(*, after: str | None, limit: int, descending: bool) -> Page[Operation]:
            return Page(await stores.operations.page(after=after, limit=limit, descending=descending))

        return await read_page(read, paging, key=lambda o: o.position, show=show_operation, form=POSITION)

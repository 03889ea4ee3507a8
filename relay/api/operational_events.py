"""Operational events: what the relay did on its own decision."""

import re

from litestar import Controller, get

from relay.api.dependencies import PagingGiven, StoresGiven
from relay.api.schemas.common import ListOut
from relay.api.schemas.undelivered import OperationalEventOut, show_operation
from relay.errors import Fault, Invalid

POSITION = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


class OperationalEventController(Controller):
    """`/api/v1/operational-event`."""

    path = "/operational-event"
    tags = ["operational event"]  # noqa: RUF012 - the framework's own attribute

    @get("/", summary="List operational events")
    async def list_operational_events(self, stores: StoresGiven, paging: PagingGiven) -> ListOut[OperationalEventOut]:
        """List what the relay did on its own, such as disabling an endpoint: the last 10,000, newest first."""
        if paging.iterator and not POSITION.fullmatch(paging.iterator):
            raise Invalid(Fault(("query", "iterator"), "is none that this list gave"))
        found = await stores.operations.page(before=paging.iterator, limit=paging.limit + 1)
        page = found[: paging.limit]
        return ListOut(
            data=[show_operation(operation) for operation in page],
            iterator=page[-1].position if page else paging.iterator,
            done=len(found) <= paging.limit,
        )

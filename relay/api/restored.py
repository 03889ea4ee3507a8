"""A guard: nothing is changed in a store that was emptied and is not restored yet."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from relay.errors import StoreUnavailable
from relay.wiring import Stores

READS = ("GET", "HEAD", "OPTIONS")


async def refuse_changes(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse requests that would change something. Raises StoreUnavailable with what to do."""
    stores: Stores = connection.app.state.stores
    if connection.scope.get("method") not in READS and (trouble := await stores.epochs.trouble()) is not None:
        raise StoreUnavailable(trouble)

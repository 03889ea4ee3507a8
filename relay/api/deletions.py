"""Deletions in requests: the request does the first second of the work. A uid is free when the deletion has ended."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from relay.errors import BeingDeleted, StoreUnavailable
from relay.wiring import Stores, deleting_of

T = TypeVar("T")

FIRST_S = 1.0
WAIT_S = 3.0


async def delete_at_once(stores: Stores) -> None:
    """Delete the remains of deleted objects for up to a second. Workers do the rest."""
    with suppress(StoreUnavailable):
        await deleting_of(stores).run(within_s=FIRST_S)


async def when_deleted(stores: Stores, make: Callable[[], Awaitable[T]]) -> T:
    """Create an object when the deletion of one with its name has ended. Raises BeingDeleted after some seconds."""
    with suppress(BeingDeleted):
        return await make()
    await deleting_of(stores).run(within_s=WAIT_S)
    return await make()

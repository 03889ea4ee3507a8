"""Deletions as requests see them: the first second of one is done at once, and a name is free when it has ended."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from relay.errors import BeingDeleted, StoreUnavailable
from relay.wiring import Stores, deleting_of

T = TypeVar("T")

FIRST_S = 1.0
WAIT_S = 3.0


async def delete_at_once(stores: Stores) -> None:
    """Delete what is left of what was deleted, as far as a second goes: the workers do the rest."""
    with suppress(StoreUnavailable):
        await deleting_of(stores).run(within_s=FIRST_S)


async def when_deleted(stores: Stores, make: Callable[[], Awaitable[T]]) -> T:
    """Make something, later if what had its name is still being deleted. Raises BeingDeleted if it takes too long."""
    with suppress(BeingDeleted):
        return await make()
    await deleting_of(stores).run(within_s=WAIT_S)
    return await make()

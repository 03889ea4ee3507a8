"""Ending tasks: what a task ended with, and who else was cancelled meanwhile."""

import asyncio

import pytest

from relay.errors import Fenced
from relay.pipeline.route_poll import cancelled


async def test_a_cancellation_of_who_waits_is_not_lost() -> None:
    """Who cancels a task that is just waiting for another one to end sees it end as cancelled."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            await may_end.wait()

    inner = asyncio.create_task(slow_to_end())
    await begun.wait()
    outer = asyncio.create_task(cancelled(inner))
    await asyncio.sleep(0)
    outer.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert outer.cancelled()


async def test_what_a_task_ends_with() -> None:
    """The relay's own errors say nothing more by then; a bug does."""

    async def ends(error: Exception) -> None:
        raise error

    for error in (Fenced("x"), KeyError("x")):
        task = asyncio.create_task(ends(error))
        await asyncio.sleep(0)
        if isinstance(error, KeyError):
            with pytest.raises(KeyError):
                await cancelled(task)
        else:
            await cancelled(task)
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    await cancelled(done)
    pending = asyncio.create_task(asyncio.sleep(60))
    await cancelled(pending)
    assert pending.cancelled()

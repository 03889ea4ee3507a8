"""Work that runs at the same time ends together."""

import asyncio

import pytest

from relay.concurrency import all_of


async def fails(error: Exception) -> int:
    await asyncio.sleep(0)
    raise error


async def test_results_come_in_order() -> None:
    """Whatever ends first."""
    first = asyncio.Event()

    async def second() -> int:
        first.set()
        return 2

    async def waits() -> int:
        await first.wait()
        return 1

    assert await all_of(waits(), second()) == [1, 2]


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_nothing_outlives_a_call_that_fails(is_cancelled: bool) -> None:
    """What has not ended is cancelled, and has cleaned up before the error comes."""
    begun, closed = asyncio.Event(), list[str]()

    async def works() -> int:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append("works")
        return 1

    call = asyncio.create_task(all_of(works(), works() if is_cancelled else fails(ValueError("first"))))
    await begun.wait()
    if is_cancelled:
        call.cancel()
    with pytest.raises(asyncio.CancelledError if is_cancelled else ValueError):
        await call
    assert closed == ["works"] * (2 if is_cancelled else 1)

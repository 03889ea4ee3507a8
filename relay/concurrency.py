"""Work that runs at the same time, and none of which outlives the call that began it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def all_of(*work: Awaitable[T]) -> list[T]:
    """The results, in order. Raises the first error, after the rest was cancelled and has ended.

    `asyncio.gather` lets the rest run on: it would use connections that the caller closes.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise

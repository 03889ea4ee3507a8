"""What the sending side does that no attempt waits for: disabling, unparking, leaving a source."""

import asyncio
from collections.abc import Awaitable

import structlog

from relay.errors import StoreUnavailable

log = structlog.get_logger()


class SideTasks:
    """Tasks that run until they end. What fails is logged, and comes up again by itself."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Awaitable[None]) -> None:
        """Do something soon."""
        task = asyncio.create_task(_run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """Wait until all have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _run(work: Awaitable[None]) -> None:
    try:
        await work
    except StoreUnavailable as error:
        log.warning("side_task_interrupted", error=str(error))
    except Exception:
        log.exception("side_task_failed")

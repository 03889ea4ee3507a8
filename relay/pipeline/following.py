"""Following what others do: changes of the configuration, and new work in lanes, told by Redis as they happen."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog

from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable
from relay.store.notices import Notices

log = structlog.get_logger()

RECONNECT_S = (0.1, 0.2, 0.5, 1.0, 2.0)


async def follow(
    notices: Notices, *, changed: Callable[[], Awaitable[None]], woken: Callable[[SourceUid], None]
) -> None:
    """Call `changed` after each change of the configuration and `woken` with each source that has new work.

    Runs until cancelled. After every (re)connection `changed` is called once, for what was missed meanwhile.
    """
    failures = 0
    while True:
        try:
            # Closed, and its connection given back, whatever ends this.
            async with aclosing(notices.listen()) as heard:
                async for notice in heard:
                    failures = 0
                    if notice is None:
                        await changed()
                    else:
                        woken(notice)
        except StoreUnavailable as error:
            failures += 1
            log.warning("notices_interrupted", error=str(error), failures=failures)
            await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S)) - 1])

"""Following what others do: changes of the configuration, and new work in lanes, told by Redis as they happen."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog

from relay.domain.model import EndpointId, SourceUid
from relay.errors import StoreRefused, StoreUnavailable
from relay.store.notices import ConditionChanged, Expunged, Notices, Room, Tailed, Woken

log = structlog.get_logger()

RECONNECT_S = (0.1, 0.2, 0.5, 1.0, 2.0)


async def follow(
    notices: Notices,
    *,
    changed: Callable[[], Awaitable[None]],
    woken: Callable[[SourceUid], None],
    condition_changed: Callable[[EndpointId, str], Awaitable[None]],
    has_room: Callable[[str], None],
    expunged: Callable[[SourceUid | None], None] = lambda _: None,
    tailed: Callable[[], None] = lambda: None,
) -> None:
    """Call `changed` after each change of the configuration, `woken` with each source that has new work.

    `condition_changed` is called with an endpoint and the session that changed what is remembered of it, `has_room`
    with the session of each worker that has room for more work, `expunged` with a source that has an event whose
    content was removed (None: any source may have one), `tailed` while somebody listens to the tail.

    Runs until cancelled. After every (re)connection `changed` is called once, for what was missed in between.
    """
    failures = 0
    while True:
        try:
            # Closed, and its connection given back, whatever ends this.
            async with aclosing(notices.listen()) as heard:
                async for notice in heard:
                    failures = 0
                    if isinstance(notice, Woken):
                        woken(notice.source)
                    elif isinstance(notice, ConditionChanged):
                        await condition_changed(notice.endpoint, notice.session)
                    elif isinstance(notice, Room):
                        has_room(notice.session)
                    elif isinstance(notice, Expunged):
                        expunged(notice.source)
                    elif isinstance(notice, Tailed):
                        tailed()
                    else:
                        await changed()
        except (StoreUnavailable, StoreRefused) as error:
            failures += 1
            log.warning("notices_interrupted", error=str(error), failures=failures)
            await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S)) - 1])

"""Keeping the lease of a source while its slice works."""

import asyncio

import structlog

from relay.domain.model import SourceUid
from relay.errors import StoreRefused, StoreUnavailable
from relay.pipeline.clock import Clock
from relay.store.routes import LEASE_MS, Routes, Token

log = structlog.get_logger()

RENEW_S = 3.0
RETRY_S = 0.2


async def renew(routes: Routes, clock: Clock, uid: SourceUid, token: Token) -> None:
    """Keep the lease, which was taken a moment ago; ends when it is lost."""
    await asyncio.sleep(RENEW_S)
    while True:
        try:
            if not await routes.keep(uid, token):
                log.warning("poller_lost_its_lease", source=uid)
                return
            # Should this worker die, a tick takes the source up when the lease has run out.
            await routes.poll_at(uid, clock.now_ms() + LEASE_MS)
            await asyncio.sleep(RENEW_S)
        except (StoreUnavailable, StoreRefused):
            await asyncio.sleep(RETRY_S)

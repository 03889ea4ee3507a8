"""Readiness: whether this process can work with its Redis server now, and if not, why."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from redis.asyncio import Redis

from relay.errors import StoreRefused, StoreUnavailable
from relay.store import keys
from relay.store.cluster import servers
from relay.store.needs import of_policy, unmet_needs

log = structlog.get_logger()

ANSWER_WITHIN_S = 2.0
"""A server that takes longer counts as away. Probes of Kubernetes should wait for 3 s."""
PROBE_LIVES_S = 60

Check = Callable[[], Awaitable[str | None]]
"""What is wrong, in words; None: nothing is."""


class Readiness:
    """Asks the server, and then the other checks. A change is logged, once."""

    def __init__(
        self, redis: Redis, *further: Check, once: Sequence[Check] = (), leaves: Callable[[], bool] = bool
    ) -> None:
        """`once` are checks that are not made again while the server stays the same. `leaves`: it was told to end."""
        self._redis = redis
        self._once = (self._needs, *once)
        self._always: tuple[Check, ...] = (self._writes, self._policy, *further)
        self._leaves = leaves
        self._has_all = False
        self._reason: str | None = ""
        """What was found last; empty: nothing was asked yet."""

    async def reason(self) -> str | None:
        """Why this process can't work now; None: it can."""
        if self._leaves():
            return "the process is ending"
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                found = await self._first()
        except TimeoutError:
            found = f"Redis did not answer within {ANSWER_WITHIN_S:g} s"
        if found != self._reason:
            if found is None:
                log.info("ready")
            else:
                log.warning("not_ready", reason=found)
        self._reason = found
        return found

    async def _first(self) -> str | None:
        try:
            for check in self._always if self._has_all else (*self._once, *self._always):
                if (found := await check()) is not None:
                    return found
            self._has_all = True
        except (StoreUnavailable, StoreRefused) as error:
            # What it may use may have changed, or it is another server by now.
            self._has_all = False
            return str(error)
        return None

    async def _needs(self) -> str | None:
        """A process may start before its server does, so what it needs is asked for as soon as that is there."""
        return " ".join(await unmet_needs(self._redis)) or None

    async def _writes(self) -> str | None:
        await self._redis.set(keys.config("ready"), b"1", ex=PROBE_LIVES_S)
        return None

    async def _policy(self) -> str | None:
        told = [await server.info("memory") for server in await servers(self._redis)]
        return next((trouble for each in told for trouble in of_policy(each.get("maxmemory_policy"))), None)

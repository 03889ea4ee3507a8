"""The master that Sentinels know: asked for whenever a connection is opened, and every few seconds."""

import asyncio
from contextlib import suppress
from typing import Any

from redis.exceptions import AuthenticationError, InvalidResponse, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from relay.store.asking import Told, ask_each
from relay.store.own_connection import Address, Place
from relay.store.redis_url import RedisUrl
from relay.store.refusals import Refusal, SentinelDenied

LOOK_EVERY_S = 2.0
"""A master that was cut off from its Sentinels answers as before, and forgets later what it was told."""
UNKNOWN, NO_SENTINEL = "No such master", "unknown command"
"""What a Sentinel says that does not know the name, and what a server says that is none."""


class SentinelPlace(Place):
    """Where the master is. When it is another one, all connections to the old one are closed."""

    def __init__(self, url: RedisUrl, options: dict[str, Any]) -> None:
        """`options` are those of a connection to the master: TLS is the same for the Sentinels."""
        super().__init__()
        self._url = url
        self._options = {**options, "username": url.sentinel_user, "password": url.sentinel_password}
        self._address: Address | None = None
        self._look_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def find(self) -> Address:
        """Ask the Sentinels: the newest of what they know. Raises redis-py's own errors, or a Refusal."""
        told, faults = await ask_each(self._url.hosts, [("SENTINEL", "MASTER", self._url.service)], self._options)
        if not told:
            raise await self._fault(faults)
        _, address = max(read_master(each) for each in told)
        if self._address not in (None, address):
            self.leave()
        self._address = address
        self._look_at = asyncio.get_running_loop().time() + LOOK_EVERY_S
        return address

    def look(self) -> None:
        """Ask again from time to time; the pool leaves its server when the Sentinels name another one."""
        loop = asyncio.get_running_loop()
        if self._address is not None and loop.time() >= self._look_at:
            self._look_at = loop.time() + LOOK_EVERY_S
            self._looking = loop.create_task(self._look(), name="sentinel")

    async def _look(self) -> None:
        # Without Sentinels the master may well be there. Who can't reach it asks again, and says so.
        with suppress(RedisError):
            await self.find()

    async def _fault(self, faults: list[RedisError]) -> RedisError:
        for fault in faults:
            if isinstance(fault, AuthenticationError) or isinstance(fault.__cause__, AuthenticationError):
                return SentinelDenied(str(fault))
            if UNKNOWN in str(fault):
                return Refusal(
                    f"The Sentinels know no master {self._url.service}, but {await self._names()}. Correct the name "
                    "behind the hosts of RELAY_REDIS_URL"
                )
            if NO_SENTINEL in str(fault):
                return Refusal(
                    "The servers at RELAY_REDIS_URL are no Sentinels. Name their hosts and ports (26379), or use redis://"
                )
        return RedisConnectionError(f"no Sentinel answers: {faults[0] if faults else 'time-out'}")

    async def _names(self) -> str:
        told, _ = await ask_each(self._url.hosts, [("SENTINEL", "MASTERS")], self._options)
        names = {_pairs(each)[b"name"].decode()[:100] for by in told for each in by.answers[0][:10]}
        return ", ".join(sorted(names)) or "none"


def read_master(told: Told) -> tuple[int, Address]:
    """The epoch of the failover that made a server the master, and its address. Raises InvalidResponse."""
    try:
        state = _pairs(told.answers[0])
        return int(state[b"config-epoch"]), (state[b"ip"].decode(), int(state[b"port"]))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidResponse("SENTINEL MASTER has an answer of another form") from error


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))

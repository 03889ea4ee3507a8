"""Conditions: what is remembered of endpoints that are not well, by all workers and for all sources."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.breaking import Condition, parse_condition
from relay.domain.model import EndpointId
from relay.store import keys
from relay.store.scripts import run_all, script

READ_AT_ONCE = 1000


class ConditionChange(NamedTuple):
    """One change: see change_condition.lua for the verbs."""

    endpoint: EndpointId
    verb: str
    opens: int
    time_ms: int


class Conditions:
    """The conditions of all endpoints."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, endpoints: Iterable[EndpointId]) -> dict[EndpointId, Condition]:
        """The conditions of some endpoints."""
        wanted = list(endpoints)
        found: dict[EndpointId, Condition] = {}
        for first in range(0, len(wanted), READ_AT_ONCE):
            some = wanted[first : first + READ_AT_ONCE]
            texts = await self._redis.hmget(keys.CONDITIONS, some)  # type: ignore[misc]
            found |= {endpoint: parse_condition(text) for endpoint, text in zip(some, texts, strict=True)}
        return found

    async def all(self) -> dict[EndpointId, Condition]:
        """The conditions of all endpoints that are not well. Raises StoreUnavailable."""
        found = await self._redis.hgetall(keys.CONDITIONS)  # type: ignore[misc]
        return {EndpointId(endpoint.decode()): parse_condition(text) for endpoint, text in found.items()}

    async def change(
        self, changes: Sequence[ConditionChange], *, session: str, now_ms: int, probe_lives_ms: int
    ) -> list[Condition]:
        """Change conditions, in one round trip; gives what each is then. The right to probe lasts `probe_lives_ms`."""
        change = script("change_condition")
        calls = [
            (
                change,
                [keys.CONDITIONS],
                [each.endpoint, each.verb, session, now_ms, each.opens, each.time_ms, probe_lives_ms,
                 keys.CONDITION_CHANNEL],
            )
            for each in changes
        ]  # fmt: skip
        return [parse_condition(text) for text in await run_all(self._redis, calls)]

    async def forget(self, endpoint: EndpointId) -> None:
        """An endpoint was enabled, resumed, corrected or deleted: it counts as well."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hdel(keys.CONDITIONS, endpoint)
            pipe.publish(keys.CONDITION_CHANNEL, f"{endpoint} -")
            await pipe.execute()

"""Retries of endpoints: how many deliveries wait for their next attempt, and which of them is the oldest.

They stand in one sorted set for each stream, by the time when they are due. No count is kept for each endpoint, because
that would cost commands for each failed delivery. So they are counted when somebody asks.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference
from relay.store import keys
from relay.store.tallies import Pair

LOOKED_AT = 100_000
"""Retries that one request looks at, in all streams together: about 0.1 s."""
AT_ONCE = 1_000


class Retries(NamedTuple):
    """The retries of an endpoint in a stream."""

    number: int
    oldest: Reference


async def read_retries(redis: Redis, pairs: Collection[Pair]) -> tuple[dict[Pair, Retries], bool]:
    """The retries of some endpoints, without pairs that have none; and whether all were looked at.

    Raises StoreUnavailable.
    """
    wanted: dict[SourceUid, set[EndpointId]] = defaultdict(set)
    for endpoint, stream in pairs:
        wanted[stream].add(endpoint)
    found: dict[Pair, Retries] = {}
    left = LOOKED_AT
    for stream, size in (await _with_retries(redis, list(wanted))).items():
        by_endpoint, cursor = dict[EndpointId, dict[int, Reference]](), 0
        # A scan for one endpoint returns its own retries alone.
        (only, *others) = wanted[stream]
        match = None if others else f"{only} *"
        while left > 0:
            cursor, members = await redis.zscan(keys.due(stream), cursor, match=match, count=AT_ONCE)
            left -= min(AT_ONCE, size) if match else max(len(members), 1)
            _note(by_endpoint, members, wanted[stream])
            if not cursor:
                break
        for endpoint, some in by_endpoint.items():
            found[endpoint, stream] = Retries(len(some), some[min(some)])
        if cursor:
            return found, False
    return found, left > 0


async def _with_retries(redis: Redis, streams: Sequence[SourceUid]) -> dict[SourceUid, int]:
    """The streams that have retries, with their number."""
    async with redis.pipeline(transaction=False) as pipe:
        for stream in streams:
            pipe.zcard(keys.due(stream))
        counts = await pipe.execute() if streams else []
    return {stream: int(count) for stream, count in zip(streams, counts, strict=True) if count}


def _note(
    found: dict[EndpointId, dict[int, Reference]], members: Sequence[tuple[bytes, float]], wanted: set[EndpointId]
) -> None:
    """Note the retries of a part of a scan. A scan can show one twice."""
    for member, _ in members:
        name, _, text = member.partition(b" ")
        endpoint = EndpointId(name.decode("utf-8", "replace"))
        if endpoint in wanted:
            try:
                reference = parse_reference(text)
            except ValueError:
                continue
            found.setdefault(endpoint, {})[reference.number] = reference

"""Sorted sets whose members lie in the order of time, read in both directions from any place on."""

from redis.asyncio import Redis

Place = tuple[int, str]
"""Where a member stands: its ms, and itself. As an edge: what lies at or above it is newer."""


def above(place: Place) -> Place:
    """The edge right above a place."""
    return place[0], place[1] + "\0"


async def read_timeline(redis: Redis, key: str, *, edge: Place | None, newer: bool, limit: int) -> list[Place]:
    """Up to `limit` members, the newest below `edge` first; with `newer`, the oldest at or above it first.

    None is the end of the set.
    """
    at_ms, least = edge or (None, "")
    async with redis.pipeline(transaction=True) as pipe:
        # Members of the same ms are few, and ordered by their names.
        pipe.zrangebyscore(key, at_ms or 0, at_ms or 0, withscores=True)
        behind = None if at_ms is None else f"({at_ms}"
        if newer:
            pipe.zrangebyscore(key, behind or "-inf", "+inf", start=0, num=limit, withscores=True)
        else:
            pipe.zrevrangebyscore(key, behind or "+inf", "-inf", start=0, num=limit, withscores=True)
        same, others = await pipe.execute()
    same = [] if at_ms is None else [each for each in same if (each[0] >= least.encode()) is newer]
    found = [*(same if newer else same[::-1]), *others][:limit]
    return [(int(score), member.decode("utf-8", "replace")) for member, score in found]

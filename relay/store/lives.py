"""The lives of sources, as the store has them: see relay.domain.lives. Without RELAY_CHECKPOINT_URL there are none."""

from collections.abc import Collection, Mapping

from redis.asyncio import Redis

from relay.domain.checkpoint import Life
from relay.domain.model import SourceUid
from relay.store import keys
from relay.store.scripts import Call, run_all, script

AT_ONCE = 500


class Lives:
    """Reads and begins lives."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, sources: Collection[SourceUid]) -> dict[SourceUid, Life | None]:
        """The lives of sources; None: a source has none. Raises StoreUnavailable."""
        found: dict[SourceUid, Life | None] = {}
        uids = list(sources)
        for first in range(0, len(uids), AT_ONCE):
            some = uids[first : first + AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for uid in some:
                    pipe.mget(keys.life(uid), keys.sequence(uid))
                told = await pipe.execute()
            found |= {uid: _read(*each) for uid, each in zip(some, told, strict=True)}
        return found

    async def begin(self, lives: Mapping[SourceUid, str], *, before: Mapping[SourceUid, str]) -> None:
        """Begin lives by their ids, in place of those in `before`, whose loss was restored. Raises StoreUnavailable."""
        calls: list[Call] = [
            (
                script("begin_life"),
                [keys.fence(uid), keys.life(uid)],
                [f"{life} {before.get(uid, '')}", "1" if uid in before else ""],
            )
            for uid, life in lives.items()
        ]
        for first in range(0, len(calls), AT_ONCE):
            await run_all(self._redis, calls[first : first + AT_ONCE])


def _read(life: bytes | None, sequence: bytes | None) -> Life | None:
    if not life:
        return None
    life_id, _, before = life.decode("utf-8", "replace").partition(" ")
    return Life(life_id, int(sequence) if sequence is not None and sequence.isdigit() else 0, before)

"""The store's epoch: see relay.domain.epoch. A store without RELAY_CHECKPOINT_URL has none."""

import secrets
from dataclasses import dataclass

from redis.asyncio import Redis

from relay.domain.epoch import Epoch
from relay.store import keys
from relay.store.scripts import script

ID_BYTES = 16
WAITS = (
    "Redis is empty, or it lost data, and nothing may be changed before a worker has compared it with the checkpoint "
    "at RELAY_CHECKPOINT_URL. Start a worker, if none runs; /health/ready of the workers says what they wait for"
)


@dataclass(frozen=True, slots=True)
class KeptEpoch:
    """The epoch as the store has it. Times are of the server's clock; None: never."""

    epoch: Epoch
    beaten_ms: int | None
    """When a checkpoint was begun last."""
    saved_ms: int | None
    """When a checkpoint that was written was begun."""


def new_id() -> str:
    """An id for an epoch, as there is no other one."""
    return secrets.token_hex(ID_BYTES)


class Epochs:
    """Reads and changes the epoch."""

    def __init__(self, redis: Redis, *, needed: bool) -> None:
        """`needed`: a store without an epoch must not be changed, because its configuration may come back."""
        self._redis = redis
        self._needed = needed

    async def trouble(self) -> str | None:
        """Why the configuration must not be changed now; None: it may be. Raises StoreUnavailable."""
        if not self._needed or await self._redis.hexists(keys.EPOCH, "id"):  # type: ignore[misc]
            return None
        return WAITS

    async def read(self) -> KeptEpoch | None:
        """The store's epoch; None: it has none. Raises StoreUnavailable."""
        found = {field.decode(): value.decode() for field, value in (await self._redis.hgetall(keys.EPOCH)).items()}  # type: ignore[misc]
        if not found.get("id"):
            return None
        epoch = Epoch(
            id=found["id"], beats=_number(found.get("beats")) or 0, ancestors=tuple(found.get("ancestors", "").split())
        )
        return KeptEpoch(epoch, _number(found.get("beaten_ms")), _number(found.get("saved_ms")))

    async def has(self, epoch: Epoch) -> bool:
        """Whether the store has an epoch, and all of its beats. Raises StoreUnavailable."""
        kept = await self.read()
        return kept is not None and kept.epoch.id == epoch.id and kept.epoch.beats >= epoch.beats

    async def is_being_restored(self, saved: Epoch) -> bool:
        """Whether a store without an epoch is being restored from a checkpoint of an epoch, or a later one."""
        found = await self._redis.hget(keys.EPOCH, "restoring")  # type: ignore[misc]
        return found is not None and (found.decode() == saved.id or found.decode() in saved.ancestors)

    async def restore(self, saved: Epoch) -> None:
        """Note in a store without an epoch that it is being restored, until the epoch begins."""
        await self._redis.hset(keys.EPOCH, "restoring", saved.id)  # type: ignore[misc]

    async def begin(self, epoch: Epoch, *, after: Epoch | None) -> bool:
        """Begin an epoch; False: the store has another one than `after` (None: none) by now."""
        args = [after.id if after else "", epoch.id, " ".join(epoch.ancestors)]
        return bool(await script("begin_epoch")(self._redis, [keys.EPOCH], args))

    async def beat(self, epoch: Epoch, *, saved_ms: int | None) -> tuple[int, int] | None:
        """Count a checkpoint: gives its number, and the server's ms; None: the store has another epoch by now.

        `saved_ms` is what this gave for the checkpoint that was written last, to be noted with it.
        """
        args = [epoch.id, "" if saved_ms is None else saved_ms]
        beats, now_ms = map(int, await script("beat_epoch")(self._redis, [keys.EPOCH], args))
        return (beats, now_ms) if beats else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None

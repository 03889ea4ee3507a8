"""Checkpointing: what a new store would need stands outside of Redis, a few seconds old. One worker writes it."""

from collections.abc import Callable

import structlog
from msgspec.structs import replace

from relay.domain.checkpoint import FORM, Head
from relay.domain.epoch import Epoch
from relay.domain.model import Source
from relay.pipeline.checkpoints import Checkpoints, Heads
from relay.pipeline.clock import Clock
from relay.store.copying import Copying
from relay.store.epochs import Epochs, KeptEpoch
from relay.store.low_water import LowWater
from relay.store.operations import Operations

log = structlog.get_logger()

OLD_MS = 30_000
"""A checkpoint that is older is reported. It is meant to be 10 s old at most."""
CONDITION, OLD, CURRENT = "checkpoint", "old", "current"
CLEAN_EVERY = 20
"""Configurations that no head names are looked for at each twentieth checkpoint: once a minute."""


class Checkpointing:
    """Writes checkpoints, and reports when none was written for a while."""

    def __init__(
        self,
        *,
        checkpoints: Checkpoints,
        epochs: Epochs,
        copying: Copying,
        low_water: LowWater,
        operations: Operations,
        clock: Clock,
        sources: Callable[[], list[Source]],
    ) -> None:
        """`sources` gives the sources that this process knows."""
        self._checkpoints = checkpoints
        self._epochs = epochs
        self._copying = copying
        self._low_water = low_water
        self._operations = operations
        self._clock = clock
        self._sources = sources
        self._saved_ms: int | None = None
        self._began_ms: int | None = None
        self._told: bool | None = None
        self.failure = ""
        """Why the last checkpoint of this process could not be written; empty: it was."""
        self.said = ""
        """What operators should know; empty: the checkpoint is as it should be."""

    async def write(self, epoch: Epoch, heads: Heads) -> None:
        """Write a checkpoint of the store. `heads` are those that stand there now, of this epoch or earlier ones.

        Raises StoreUnavailable, or CheckpointUnavailable: then the one before stands.
        """
        beaten = await self._epochs.beat(epoch, saved_ms=self._saved_ms)
        if beaten is None:
            return
        beats, now_ms = beaten
        configuration = await self._configuration(heads.newest)
        if configuration is None:
            return
        version, name = configuration
        routes = await self._low_water.read(self._sources(), now_ms=now_ms)
        form = heads.newest.form if heads.newest is not None and heads.newest.configuration == name else FORM
        epoch = replace(epoch, beats=beats)
        head = Head(epoch=epoch, at_ms=now_ms, version=version, configuration=name, form=form, routes=routes)
        await self._checkpoints.write_head(head, heads)
        self._saved_ms, self.failure = now_ms, ""
        if beats % CLEAN_EVERY == 0:
            await self._checkpoints.drop_unused({name, *(each.configuration for each in heads.found.values())})

    async def tell(self, kept: KeptEpoch) -> None:
        """Report that the checkpoint is old, or current again. Raises StoreUnavailable."""
        now_ms = self._clock.now_ms()
        self._began_ms = self._began_ms or now_ms
        saved_ms = max(kept.saved_ms or 0, self._saved_ms or 0)
        age_ms = now_ms - (saved_ms or self._began_ms)
        is_old = age_ms > OLD_MS
        self.said = (
            f"the checkpoint is {age_ms // 1000} s old: {self.failure or 'see checkpoint.old'}" if is_old else ""
        )
        if self._told is None:
            self._told = await self._operations.condition(CONDITION) == OLD
        if is_old == self._told or not (is_old or saved_ms):
            return
        self._told = is_old
        condition = (CONDITION, OLD if is_old else CURRENT)
        if is_old:
            data = {"ageSeconds": age_ms // 1000, "url": self._checkpoints.url, "reason": self.failure}
            log.error("checkpoint_old", **data, do="see docs/runbook.md, The checkpoint is old")
            await self._operations.note("checkpoint.old", data, now_ms=now_ms, condition=condition)
        else:
            log.info("checkpoint_current")
            await self._operations.note("checkpoint.current", {}, now_ms=now_ms, condition=condition)

    async def _configuration(self, newest: Head | None) -> tuple[int, str] | None:
        """The version and the name of the configuration that a head may name; None: it changes all the time."""
        is_current = newest is not None and (newest.version, newest.form) == (await self._copying.version(), FORM)
        if newest is not None and is_current:
            return newest.version, newest.configuration
        if (saved := await self._copying.take()) is not None:
            return saved.version, await self._checkpoints.write_configuration(saved)
        return None if newest is None else (newest.version, newest.configuration)

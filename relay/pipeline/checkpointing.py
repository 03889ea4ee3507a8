"""Checkpointing: what a new store would need stands outside of Redis, a few seconds old. One worker writes it."""

from typing import Any

import structlog
from msgspec.structs import replace

from relay.domain.checkpoint import FORM, Head, SavedConfiguration
from relay.domain.epoch import Epoch
from relay.domain.model import SourceUid
from relay.pipeline.checkpoints import Checkpoints, Heads
from relay.pipeline.clock import Clock
from relay.pipeline.marking import Marking
from relay.store.copying import Copying
from relay.store.epochs import Epochs, KeptEpoch
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
        marking: Marking,
        operations: Operations,
        clock: Clock,
    ) -> None:
        self._checkpoints = checkpoints
        self._epochs = epochs
        self._copying = copying
        self._marking = marking
        self._operations = operations
        self._clock = clock
        self._saved_ms: int | None = None
        self._began_ms: int | None = None
        self._told: bool | None = None
        self.failure = ""
        """Why the last checkpoint of this process could not be written; empty: it was."""
        self.said = ""
        """What operators should know; empty: the checkpoint is as it should be."""

    async def write(self, epoch: Epoch, heads: Heads) -> list[SourceUid]:
        """Write a checkpoint of the store. `heads` are those that stand there now, of this epoch or earlier ones.

        Gives the sources that the store lost: the checkpoint still has what it had of them. Raises StoreUnavailable, or
        CheckpointUnavailable: then the one before stands.
        """
        beaten = await self._epochs.beat(epoch, saved_ms=self._saved_ms)
        if beaten is None:
            return []
        beats, now_ms = beaten
        epoch = replace(epoch, beats=beats)
        is_kept = await self._is_kept(heads.newest, beats)
        copied = None if is_kept else await self._copying.take()
        marked = await self._marking.mark(heads.newest, epoch, now_ms=now_ms)
        # All of it was read of the store that has the epoch, and not of one that was emptied or set back in between.
        if not await self._epochs.has(epoch):
            return []
        configuration = await self._configuration(heads.newest, copied)
        if configuration is None:
            return []
        head = Head(
            epoch=epoch, at_ms=now_ms, **configuration, routes=marked.routes, lives=marked.lives,
        )  # fmt: skip
        await self._checkpoints.write_head(head, heads)
        self._saved_ms, self.failure = now_ms, ""
        if beats % CLEAN_EVERY == 0:
            named = {head.configuration, *(each.configuration for each in heads.found.values())}
            await self._checkpoints.drop_unused(named)
        return marked.lost

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

    async def _is_kept(self, newest: Head | None, beats: int) -> bool:
        """Whether the place has the configuration as it is, in the form and under the key of this process."""
        if newest is None or (newest.form, newest.sealed_by) != (FORM, self._checkpoints.sealing):
            return False
        if newest.version != await self._copying.version():
            return False
        # Rules of a bucket may delete what is as old as the last change.
        return beats % CLEAN_EVERY != 0 or await self._checkpoints.has(newest.configuration)

    async def _configuration(self, newest: Head | None, copied: SavedConfiguration | None) -> dict[str, Any] | None:
        """What a head says of the configuration: of a copy that is written first, or what the newest head says.

        None: it changed while it was copied, and there is none before.
        """
        if copied is not None:
            name = await self._checkpoints.write_configuration(copied)
            return {
                "version": copied.version, "configuration": name, "form": FORM, "sealed_by": self._checkpoints.sealing,
            }  # fmt: skip
        if newest is None:
            return None
        return {name: getattr(newest, name) for name in ("version", "configuration", "form", "sealed_by")}

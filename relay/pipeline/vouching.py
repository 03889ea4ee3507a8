"""Vouching: whether the store is the one that it was, with all that it had.

Every worker compares the store's epoch with the one that it knew, each second. The checkpoint is read when they differ,
and by the worker that writes the next one. See docs/adr/0015-checkpoints.md.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog

from relay.domain.checkpoint import Head
from relay.domain.epoch import Epoch, Watch, standing
from relay.domain.model import SourceUid
from relay.errors import CheckpointRefused, CheckpointUnavailable, StoreRefused, StoreUnavailable
from relay.pipeline.checkpointing import Checkpointing
from relay.pipeline.checkpoints import Checkpoints, Heads
from relay.pipeline.marking import Marking
from relay.pipeline.restoring import Restored, Restoring
from relay.store.chores import Chores
from relay.store.copying import Copying
from relay.store.epochs import Epochs, KeptEpoch, new_id

log = structlog.get_logger()

LOOK_S = 1.0
BEAT_S = 3.0
"""How often a checkpoint is written."""
STILL_S = 10.0
"""A checkpoint that does not move for so long has no writer: three were due."""
RESTORE_S = 20.0
"""For so long other workers leave a store to the one that began to restore it."""
MOST_REST_S = 60.0
"""Between two attempts at a place that does not answer."""
MOST_NAMED = 10
LOOKING = "Redis has not been compared with the checkpoint yet"
ONE_SERVER = (
    "Set RELAY_REDIS_URL to the same server for all processes of a relay, and RELAY_CHECKPOINT_URL to a place that no "
    "other relay uses"
)


class Vouching:
    """Compares the store with its checkpoint, has it restored, and has checkpoints written."""

    def __init__(
        self,
        *,
        checkpoints: Checkpoints,
        epochs: Epochs,
        copying: Copying,
        chores: Chores,
        restoring: Restoring,
        checkpointing: Checkpointing,
        marking: Marking,
        is_manual: bool,
    ) -> None:
        """`is_manual`: what the store lost is brought back by `relay restore` only."""
        self._checkpoints = checkpoints
        self._epochs = epochs
        self._copying = copying
        self._chores = chores
        self._restoring = restoring
        self._checkpointing = checkpointing
        self._marking = marking
        self._is_manual = is_manual
        self._still_s = STILL_S
        self._known: Epoch | None = None
        self._watch = Watch()
        self._failures = 0
        self._rests_until_s = 0.0
        self._is_settled = False
        """Whether the store needs no further comparing, until its epoch changes."""
        self._trouble: str | None = LOOKING
        self._lost = ""
        """Which sources the store lost alone, while they wait for `relay restore`."""
        self.restored: Restored | None = None
        """What this process restored last."""

    @property
    def trouble(self) -> str | None:
        """Why the configuration in the store must not be followed; None: it may be."""
        return self._trouble

    @property
    def is_settled(self) -> bool:
        """Whether the store was compared with the checkpoint, and has what that has."""
        return self._is_settled

    @property
    def said(self) -> str:
        """What operators should know although the process works; empty: nothing."""
        return "; ".join(filter(None, (self._checkpointing.said, self._lost)))

    async def run(self) -> None:
        """Work until cancelled. Raises CheckpointRefused when this process must not work with its store."""
        while True:
            try:
                await self.look()
            except CheckpointRefused as error:
                log.error("store_refused_by_checkpoint", error=str(error))
                raise
            except Exception:
                # Whatever it is: a checkpoint that can't be written must not end the worker.
                log.exception("checkpoint_failed")
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Compare once, and do what is to be done. Raises CheckpointRefused."""
        kept: KeptEpoch | None = None
        try:
            kept = await self._epochs.read()
            if kept is None:
                self._say(self._trouble or LOOKING)
            else:
                await self._checkpointing.tell(kept)
            if time.monotonic() >= self._rests_until_s:
                await self._work(kept)
                self._failures = 0
        except CheckpointUnavailable as error:
            self._failed(error, kept)
        except (StoreUnavailable, StoreRefused) as error:
            log.debug("epoch_not_read", error=str(error))

    async def may_poll(self) -> bool:
        """Whether a poller may begin: a store without an epoch gets the cursors of its routes first.

        A store that lost some of its configuration may be polled for, by what this process knows. A poller that was at
        work when the store was emptied is fenced. Raises StoreUnavailable.
        """
        return await self._epochs.read() is not None

    async def compare(self) -> None:
        """Compare once, whatever is known, and restore what was lost. For a process that does nothing else.

        Raises StoreUnavailable, CheckpointUnavailable and CheckpointRefused.
        """
        kept, heads = await self._epochs.read(), await self._checkpoints.heads()
        await self._compare(kept, heads)
        if kept is not None and self._is_settled and heads.newest is not None:
            lost = await self._marking.lost(heads.newest, kept.epoch)
            self.restored = await self._restoring.restore_sources(lost, heads.newest) or self.restored

    async def vouch(self, version: int) -> bool:
        """Whether a process that knows a version of the configuration may read what the store says now.

        A store that does not have that version lost it. Until it is compared with the checkpoint, the process continues
        with what it knows. Raises StoreUnavailable.
        """
        if self._trouble is None and not await self._copying.holds(version):
            self._is_settled = False
            self._say(LOOKING)
        return self._trouble is None

    async def _work(self, kept: KeptEpoch | None) -> None:
        is_known = kept is not None and self._known is not None and kept.epoch.id == self._known.id
        if kept is None or not is_known or not self._is_settled:
            await self._compare(kept, await self._checkpoints.heads())
        elif await self._chores.take("checkpoint", seconds=BEAT_S * 0.9):
            heads = await self._checkpoints.heads()
            if standing(kept.epoch, heads.epoch, is_empty=False, is_kin=True) == "well":
                await self._bring_back(await self._checkpointing.write(kept.epoch, heads), heads)
            else:
                # Compared at the next look, with what the store says then: another worker may be writing.
                self._is_settled = False

    async def _compare(self, kept: KeptEpoch | None, heads: Heads) -> None:
        saved, store = heads.newest, kept.epoch if kept else None
        if saved is None and store is None and heads.torn:
            raise CheckpointRefused(
                f"the checkpoint at {self._checkpoints.url} is damaged, and Redis has nothing to replace it with. Put "
                "an earlier version of the object there, or delete it to begin without"
            )
        is_empty = not await self._copying.version()
        is_kin = store is None and saved is not None and not is_empty and await self._restoring.is_kin(saved)
        match standing(store, heads.epoch, is_empty=is_empty, is_kin=is_kin):
            case "new":
                await self._epochs.begin(Epoch(id=new_id()), after=None)
            case "foreign" if saved is not None:
                raise CheckpointRefused(self._foreign(store, saved))
            case "empty" | "behind" if saved is not None:
                await self._recover(kept, saved)
                return
        await self._settle()

    async def _recover(self, kept: KeptEpoch | None, saved: Head) -> None:
        """Restore what was lost, when nobody else works on from the checkpoint."""
        still_s = self._watch.still_s(saved.epoch, now_s=time.monotonic())
        if self._watch.is_written:
            raise CheckpointRefused(
                f"two relays disagree: the server at RELAY_REDIS_URL is {_name(kept)}, while another process continues "
                f"the checkpoint at {self._checkpoints.url} from another server (epoch {saved.epoch.id}). {ONE_SERVER}"
            )
        is_lost = kept is None or await self._restoring.has_lost(saved)
        self._say(self._explain(kept, saved) if is_lost else None)
        if still_s < self._still_s or (is_lost and self._is_manual):
            return
        if await self._chores.take("restore", seconds=RESTORE_S):
            self.restored = await self._restoring.restore(kept, saved) or self.restored
            await self._settle()

    async def _bring_back(self, lost: Sequence[SourceUid], heads: Heads) -> None:
        """Restore sources that the store lost alone: no other relay has its epoch, so nobody is waited for."""
        self._lost = ""
        if lost and self._is_manual:
            named = ", ".join(sorted(lost)[:MOST_NAMED])
            self._lost = f"Redis lost what it had of {len(lost)} sources ({named}): run `relay restore`"
        elif lost and heads.newest is not None:
            self.restored = await self._restoring.restore_sources(lost, heads.newest) or self.restored

    async def _settle(self) -> None:
        """Work with the epoch that the store has now."""
        kept = await self._epochs.read()
        if kept is None:
            return
        known, epoch = self._known, kept.epoch
        if known is not None and not epoch.is_kin_of(known):
            raise CheckpointRefused(
                f"this process worked with the store of epoch {known.id}, and the server at RELAY_REDIS_URL has that "
                f"of epoch {epoch.id}, which is another relay's. {ONE_SERVER}"
            )
        if known is None or known.id != epoch.id:
            log.info("epoch_known", epoch=epoch.id, before=known.id if known else None)
        self._known, self._watch, self._is_settled = epoch, Watch(), True
        self._say(None)

    def _failed(self, error: CheckpointUnavailable, kept: KeptEpoch | None) -> None:
        self._failures += 1
        rest_s = min(MOST_REST_S, BEAT_S * 2 ** min(self._failures - 1, 10))
        self._rests_until_s = time.monotonic() + rest_s
        self._checkpointing.failure = str(error)
        log.warning("checkpoint_failed", error=str(error), failures=self._failures, next_in_s=rest_s)
        if kept is not None and self._known is None:
            # A store with an epoch is not empty. It is compared as soon as the place of the checkpoint answers.
            self._known = kept.epoch
            self._say(None)
        elif self._trouble is not None:
            self._say(f"{LOOKING}: {error}")

    def _say(self, trouble: str | None) -> None:
        if trouble not in (None, LOOKING, self._trouble):
            log.warning("store_waits", reason=trouble)
        self._trouble = trouble

    def _explain(self, kept: KeptEpoch | None, saved: Head) -> str:
        what = "Redis is empty" if kept is None else "Redis lost changes of the configuration"
        if self._is_manual:
            return f"{what}. RELAY_RESTORE is manual: run `relay restore` to bring back what the checkpoint has"
        return (
            f"{what}. It gets them back from the checkpoint at {self._checkpoints.url} when that was not written for "
            f"{self._still_s:.0f} s: no other relay must work on from it"
        )

    def _foreign(self, store: Epoch | None, saved: Head) -> str:
        mine = f"epoch {store.id}" if store else "a configuration, and no epoch"
        return (
            f"the checkpoint at {self._checkpoints.url} is another relay's (epoch {saved.epoch.id}; the server at "
            f"RELAY_REDIS_URL has {mine}). Set RELAY_CHECKPOINT_URL to a place that no other relay uses. To replace "
            "what the server has by the checkpoint, empty the server first"
        )


def _name(kept: KeptEpoch | None) -> str:
    return "empty" if kept is None else f"of epoch {kept.epoch.id}"

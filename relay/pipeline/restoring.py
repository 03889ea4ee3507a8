"""Restoring: a store gets back from a checkpoint what it lost, and a new epoch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from relay.domain.checkpoint import Head
from relay.domain.epoch import MOST_ANCESTORS
from relay.domain.lives import is_same_source, life_id
from relay.domain.model import SourceUid
from relay.errors import CheckpointRefused, NotFound, Unreadable
from relay.pipeline.checkpoints import Checkpoints
from relay.store.configuration import Configuration
from relay.store.copying import Copying
from relay.store.epochs import Epochs, KeptEpoch, new_id
from relay.store.lives import Lives
from relay.store.operations import Operations
from relay.store.server import Server
from relay.store.sources import Sources

log = structlog.get_logger()

MOST_TOLD = 20
"""Routes and objects that a log line or an operational event names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a store got back."""

    taken_ms: int
    """When the checkpoint was taken."""
    objects: Mapping[str, int] = field(default_factory=dict)
    """How many objects of each kind were written."""
    deleted: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """`{kind}/{id}` of what could not be restored → why."""
    routes: Mapping[str, int] = field(default_factory=dict)
    """`{source}/{route}` → the rowId behind which it is polled again."""

    def told(self) -> dict[str, object]:
        """As an operational event says it, bounded in size."""
        return {
            "takenAtMs": self.taken_ms,
            "restored": dict(self.objects),
            "deleted": dict(self.deleted),
            "refused": dict(list(self.refused.items())[:MOST_TOLD]),
            "refusedCount": len(self.refused),
            "routes": {name: str(row_id) for name, row_id in list(self.routes.items())[:MOST_TOLD]},
            "routeCount": len(self.routes),
        }


class Restoring:
    """Restores. It can be cut short anywhere and done again, also by several processes at once."""

    def __init__(
        self,
        *,
        checkpoints: Checkpoints,
        epochs: Epochs,
        copying: Copying,
        configuration: Configuration,
        sources: Sources,
        lives: Lives,
        operations: Operations,
        server: Server,
        overlap_s: float,
    ) -> None:
        """`overlap_s`: how late a row may appear and still be found by the overlap behind a cursor."""
        self._checkpoints = checkpoints
        self._epochs = epochs
        self._copying = copying
        self._configuration = configuration
        self._sources = sources
        self._lives = lives
        self._operations = operations
        self._server = server
        self._overlap_ms = round(overlap_s * 1000)

    async def has_lost(self, saved: Head) -> bool:
        """Whether the store lost a change of the configuration that a checkpoint has."""
        return not await self._copying.holds(saved.version)

    async def is_kin(self, saved: Head) -> bool:
        """Whether a store without an epoch is one from before the first checkpoint, or one that a process began to
        restore, and not another relay's."""
        if await self._epochs.is_being_restored(saved.epoch):
            return True
        return await self._copying.is_kin(await self._checkpoints.configuration(saved))

    async def restore(self, kept: KeptEpoch | None, saved: Head) -> Restored | None:
        """Bring a store that is empty or older than a checkpoint forward. None: another process did.

        Raises StoreUnavailable, CheckpointUnavailable, or CheckpointRefused when the configuration can't be read.
        """
        configuration = await self._checkpoints.configuration(saved)
        if configuration.version != saved.version:
            raise CheckpointRefused(
                f"{self._checkpoints.url}/{saved.configuration} is of another version than its head"
            )
        now_ms = await self._server.now_ms()
        if kept is None:
            # Should this process die, a part of the configuration is not taken for that of another relay.
            await self._epochs.restore(saved.epoch)
        # Routes first: a source is polled as soon as it is there. Its routes must not begin behind the newest row then.
        moved = await self._copying.put_marks(saved.routes, only_new=self._is_close(kept, saved), now_ms=now_ms)
        done = await self._copying.put_back(configuration)
        if done.version:
            sources = await self._configuration.source_uids()
            await self._configuration.announce(done.version, sources, matched=done.version)
        epoch = saved.epoch.next(new_id())
        if kept is not None and not epoch.descends_from(kept.epoch):
            epoch = replace(epoch, ancestors=(*epoch.ancestors, kept.epoch.id)[-MOST_ANCESTORS:])
        if not await self._epochs.begin(epoch, after=kept.epoch if kept else None):
            return None
        restored = Restored(saved.at_ms, done.written, done.deleted, done.refused, moved)
        log.warning("store_restored", epoch=epoch.id, **restored.told())
        await self._operations.note("store.restored", restored.told(), now_ms=now_ms)
        return restored

    async def restore_sources(self, lost: Iterable[SourceUid], saved: Head) -> Restored | None:
        """Have sources that were lost, while the rest of the store was not, continue from the marks of a checkpoint.

        None: there is nothing to restore, because other sources have their uids now. Raises StoreUnavailable.
        """
        now_ms = await self._server.now_ms()
        lives = {uid: life for uid in lost if (life := await self._new_life(uid, saved)) is not None}
        if not lives:
            return None
        marks = {uid: saved.routes[uid] for uid in lives if uid in saved.routes}
        moved = await self._copying.put_marks(marks, only_new=False, now_ms=now_ms)
        version = await self._configuration.version()
        await self._configuration.announce(version, lives, matched=version)
        # Last: the next checkpoint has what the store says of a source with a life that continues the lost one.
        await self._lives.begin(lives, before={uid: saved.lives[uid].id for uid in lives})
        restored = Restored(saved.at_ms, routes=moved)
        log.warning("sources_restored", sources=sorted(lives)[:MOST_TOLD], **restored.told())
        await self._operations.note("store.restored", restored.told(), now_ms=now_ms)
        return restored

    async def _new_life(self, uid: SourceUid, saved: Head) -> str | None:
        """The id of a life that continues the saved one; None: the source is gone, or can't be read."""
        try:
            source = await self._sources.get(uid)
        except (NotFound, Unreadable):
            return None
        life = life_id(source.created_at_ms, new_id())
        return life if is_same_source(life, saved.lives[uid].id) else None

    def _is_close(self, kept: KeptEpoch | None, saved: Head) -> bool:
        """Whether a store lost so little that its own cursors find all rows again.

        It is a consistent copy of an earlier moment: what is behind its cursors is in its lanes, or was delivered. Only
        rows that appeared late since then are neither, and the overlap finds these as long as it reaches back to them.
        """
        return kept is not None and saved.at_ms - (kept.beaten_ms or 0) <= self._overlap_ms

"""Marking: where the routes of all sources would continue in a new store, for the next head of the checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.domain.checkpoint import Head, Life, RouteMark
from relay.domain.epoch import Epoch
from relay.domain.lives import is_same_source, life_id, lost_sources
from relay.domain.model import Source, SourceUid
from relay.store.configuration import Configuration
from relay.store.epochs import new_id
from relay.store.lives import Lives
from relay.store.low_water import LowWater

Marks = dict[SourceUid, dict[str, RouteMark]]


@dataclass(frozen=True, slots=True)
class Marked:
    """What a head says of the sources."""

    routes: Marks
    lives: dict[SourceUid, Life]
    lost: list[SourceUid]
    """Those that the store lost. Their marks and lives are still those of the head before."""


class Marking:
    """Reads the marks, and keeps those of the head before where the store can't tell."""

    def __init__(
        self,
        *,
        low_water: LowWater,
        lives: Lives,
        configuration: Configuration,
        sources: Callable[[], list[Source]],
    ) -> None:
        """`sources` gives the sources that this process knows."""
        self._low_water = low_water
        self._lives = lives
        self._configuration = configuration
        self._sources = sources

    async def mark(self, before: Head | None, epoch: Epoch, *, now_ms: int) -> Marked:
        """Read the marks of all sources. `before`: the newest head; `now_ms`: the server's. Raises StoreUnavailable."""
        sources = self._sources()
        routes = await self._low_water.read(sources, now_ms=now_ms)
        # After the marks: what is read of a store that was emptied in between has no life.
        found = await self._lives.read(routes)
        saved = _lives_of(before, epoch)
        own = {each.uid: life_id(each.created_at_ms, new_id()) for each in sources}
        saved = {uid: life for uid, life in saved.items() if uid not in own or is_same_source(own[uid], life.id)}
        lost = lost_sources(saved, found)
        lives = {uid: life for uid, life in found.items() if life is not None}
        lives |= {uid: saved[uid] for uid in lost}
        if before is not None:
            _keep(routes, before, sources, lost)
            for uid in await self._unknown(before, routes):
                routes[uid] = before.routes[uid]
                lives |= {uid: saved[uid]} if uid in saved else {}
        await self._lives.begin({uid: life for uid, life in own.items() if uid not in lives}, before={})
        return Marked(routes, lives, lost)

    async def lost(self, head: Head, epoch: Epoch) -> list[SourceUid]:
        """The sources that the store lost since a head was written, known or not. Raises StoreUnavailable."""
        saved = _lives_of(head, epoch)
        return lost_sources(saved, await self._lives.read(saved))

    async def _unknown(self, before: Head, routes: Marks) -> set[SourceUid]:
        """The sources of a head that are in the store, and that this process can't read, or does not know yet."""
        unknown = before.routes.keys() - routes.keys()
        return unknown.intersection(await self._configuration.source_uids()) if unknown else set()


def _lives_of(head: Head | None, epoch: Epoch) -> dict[SourceUid, Life]:
    """What lives must be continued: those of another epoch were restored with the whole store."""
    return head.lives if head is not None and head.epoch.id == epoch.id else {}


def _keep(routes: Marks, before: Head, sources: list[Source], lost: list[SourceUid]) -> None:
    """Keep the marks of routes whose cursors are damaged, and of sources that are lost."""
    for source in sources:
        kept = before.routes.get(source.uid, {})
        read = {} if source.uid in lost else routes[source.uid]
        routes[source.uid] = {name: mark for name, mark in kept.items() if name in source.routes} | read

"""Replays as the store keeps them: the part of each task in each source, and the deliveries that it puts into lists."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.books import DROPPED, State
from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, number_of
from relay.domain.replaying import Replay
from relay.errors import Conflict, NotFound, Unreadable
from relay.store import book_keys, keys, replay_keys
from relay.store.packing import Packing
from relay.store.scripts import script

PREFIX = "qtask_"
KEPT = 100
"""Replays of a source that have ended and are listed."""
KEPT_MS = 7 * 86_400_000
"""How long a replay that has ended is listed."""
LOOK_AT_ONCE = 1000
PACKING = Packing(Replay, version=1, added=("gone_first", "gone_last", "backfills"))


class Part(NamedTuple):
    """A replay in one source, with what became of its deliveries."""

    source: SourceUid
    replay: Replay
    queued: int
    """Deliveries that were put into the list."""
    gone: int
    """Deliveries whose events went between the look and the step."""
    changed: int
    """Deliveries that had another state by then, so they were left alone."""


class Sending(NamedTuple):
    """A delivery to put into the list."""

    reference: Reference
    state: State
    """What the books must still say of it."""


class Replays:
    """The replays of all sources."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def parts(self, sources: Iterable[SourceUid]) -> list[Part]:
        """All parts that are kept and can be read, the oldest first."""
        uids = list(sources)
        async with self._redis.pipeline(transaction=False) as pipe:
            for uid in uids:
                pipe.hvals(replay_keys.replays(uid))
                pipe.hgetall(replay_keys.replay_counts(uid))
            answers = iter(await pipe.execute() if uids else [])
        found = []
        for uid in uids:
            packed, counts = next(answers), next(answers)
            for each in packed:
                with suppress(Unreadable):
                    found.append(_part(uid, PACKING.unpack(each), counts))
        return sorted(found, key=lambda part: (part.replay.created_ms, part.replay.id, part.source))

    async def of_any(self, sources: Sequence[SourceUid]) -> dict[SourceUid, bool]:
        """Whether any replay is kept, for each source: most have none. One round trip. Raises StoreUnavailable."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for source in sources:
                pipe.exists(replay_keys.replays(source))
            found = await pipe.execute()
        return {source: bool(there) for source, there in zip(sources, found, strict=True)}

    async def running(self, source: SourceUid) -> list[Replay]:
        """Those of a source that a worker has to continue, the oldest first."""
        return [part.replay for part in await self.parts([source]) if part.replay.phase == "running"]

    async def create(self, source: SourceUid, replay: Replay) -> None:
        """Begin a replay in a source. One that is there already stays as it is.

        Raises NotFound when the source is being deleted.
        """
        with suppress(Conflict):
            await self._write(source, replay, None, replay)

    async def advance(self, source: SourceUid, before: Replay, after: Replay, sending: Sequence[Sending] = ()) -> None:
        """Write down how far a replay has come, with the deliveries that it puts into the list, in one step.

        Raises Conflict when the replay is not as it was `before`, or NotFound when the source is being deleted.
        """
        await self._write(source, before, before, after, await self._deliveries(source, before.endpoint, sending))

    async def trim(self, source: SourceUid, *, now_ms: int) -> None:
        """Forget replays that ended long ago, and the oldest of those that are too many."""
        ended = [part.replay for part in await self.parts([source]) if part.replay.phase != "running"]
        for at, replay in enumerate(reversed(ended)):
            if at >= KEPT or replay.updated_ms < now_ms - KEPT_MS:
                with suppress(Conflict):
                    await self._write(source, replay, replay, None)

    async def waiting(self, source: SourceUid, endpoint: EndpointId) -> int:
        """How many replays wait in the list of an endpoint."""
        return int(await self._redis.llen(replay_keys.replay_list(source, endpoint)))  # type: ignore[misc]

    async def listed(self, source: SourceUid, endpoint: EndpointId, reasons: Collection[str]) -> set[tuple[int, str]]:
        """The undelivered ones of an endpoint with some reasons, each by its number and tag.

        Those that were dropped to let their events go are among them. Raises StoreUnavailable.
        """
        wanted = {reason.encode() for reason in reasons}
        dead = await self._members(keys.dead(source), f"{endpoint} *", skip=len(endpoint) + 1)
        dropped = await self._members(keys.dropped(source, endpoint), "*", skip=0)
        # The reason comes behind the reference, which the endpoint precedes in the list of dead ones.
        of_all = [(dead, 2), (dropped, 1)]
        return {
            known
            for members, place in of_all
            for known, of_it in members.items()
            if any(wanted & set(each.split(b" ")[place : place + 1]) for each in of_it)
        }

    async def blocks(self, source: SourceUid) -> dict[int, int]:
        """Blocks that have events or books, with the ms of their newest event as far as the books know it."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hkeys(keys.references(source))
            pipe.zrange(book_keys.book_blocks(source), 0, -1, withscores=True)
            kept, booked = await pipe.execute()
        return {int(each): 0 for each in kept} | {int(each): int(at_ms) for each, at_ms in booked}

    async def _deliveries(
        self, source: SourceUid, endpoint: EndpointId, sending: Sequence[Sending]
    ) -> list[str | bytes | int]:
        dead = dropped = dict[tuple[int, str], list[bytes]]()
        if any(each.state is State.DEAD for each in sending):
            dead = await self._members(keys.dead(source), f"{endpoint} *", skip=len(endpoint) + 1)
        if any(each.state in DROPPED for each in sending):
            dropped = await self._members(keys.dropped(source, endpoint), "*", skip=0)
        args: list[str | bytes | int] = []
        for reference, state in sending:
            known = reference.number, reference.tag
            of_dead, of_dropped = dead.get(known, []), dropped.get(known, [])
            args += [reference.text(), int(state), len(of_dead), *of_dead, len(of_dropped), *of_dropped]
        return args

    async def _members(self, key: str, match: str, *, skip: int) -> dict[tuple[int, str], list[bytes]]:
        """Members of a list of the undelivered, by number and tag. A scan can show one twice."""
        found: dict[tuple[int, str], set[bytes]] = {}
        async for member, _ in self._redis.zscan_iter(key, match=match, count=LOOK_AT_ONCE):
            text = member[skip:]
            if (number := number_of(text)) is not None:
                tag = text.split(b" ")[0].split(b":")[2:3]
                found.setdefault((number, b"".join(tag).decode("utf-8", "replace")), set()).add(member)
        return {known: sorted(members) for known, members in found.items()}

    async def _write(
        self,
        source: SourceUid,
        replay: Replay,
        before: Replay | None,
        after: Replay | None,
        deliveries: Sequence[str | bytes | int] = (),
    ) -> None:
        names = [
            *(key(source) for key in (keys.fence, replay_keys.replays, replay_keys.replay_counts, keys.lanes)),
            *(key(source) for key in (keys.ready, keys.dead, keys.references, keys.owed)),
            keys.dropped(source, replay.endpoint), keys.revived(source), book_keys.book_sizes(source),
            replay_keys.replaying(source), replay_keys.replay_list(source, replay.endpoint),
        ]  # fmt: skip
        stored = await self._redis.hget(replay_keys.replays(source), replay.id)  # type: ignore[misc]
        raw = [
            b"" if before is None else PACKING.as_stored(before, stored), b"" if after is None else PACKING.pack(after)
        ]  # fmt: skip
        head = [keys.prefix(source), replay.endpoint, replay.id, *raw, keys.EVENTS_PER_BUCKET]
        args = [*head, keys.WAKE_CHANNEL, source, *deliveries]
        answer = await script("advance_replay")(self._redis, names, args)
        if answer == b"closed":
            raise NotFound(f"source {source} is being deleted")
        if answer != b"ok":
            raise Conflict(f"replay {replay.id} was changed by another worker or request")


def _part(source: SourceUid, replay: Replay, counts: dict[bytes, bytes]) -> Part:
    told = (int(counts.get(f"{replay.id}:{what}".encode(), 0)) for what in ("queued", "gone", "changed"))
    return Part(source, replay, *told)

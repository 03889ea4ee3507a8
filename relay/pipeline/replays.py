"""Replays at work: chosen events are read in turns, and put into the lists behind the lanes."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from msgspec.structs import replace

from relay.domain.books import State, state_of
from relay.domain.model import Endpoint, SourceUid
from relay.domain.references import tag_of
from relay.domain.replaying import Phase, Replay, allowance, delivery, is_booked, is_within, paced, short_of, wants
from relay.errors import Conflict, NotFound, StoreUnavailable
from relay.pipeline.apart import ask_apart, each_apart
from relay.pipeline.correcting import Correcting
from relay.pipeline.reading_again import ReadingAgain, reads_again
from relay.store.books import Books
from relay.store.chores import Chores
from relay.store.endpoints import Endpoints
from relay.store.events import Events
from relay.store.keys import EVENTS_PER_BUCKET
from relay.store.replays import Replays, Sending
from relay.store.server import Server

log = structlog.get_logger()

EVERY_S = 0.2
"""How often replays that run are continued."""
IDLE_S = 1.0
TRIM_S = 600.0
FIRST_NUMBER = 1
"""Of the events of a stream."""
BLOCKS_AT_ONCE = 40
"""Blocks that one turn looks through: ten thousand events."""


class ReplayTurns:
    """Continues replays. Two workers may do so at once: only one of them can write down each step."""

    def __init__(
        self,
        *,
        replays: Replays,
        events: Events,
        books: Books,
        endpoints: Endpoints,
        again: ReadingAgain,
        correcting: Correcting,
        server: Server,
        chores: Chores,
    ) -> None:
        self._replays = replays
        self._events = events
        self._books = books
        self._endpoints = endpoints
        self._again = again
        self._correcting = correcting
        self._server = server
        self._chores = chores

    async def run(self, sources: Callable[[], Sequence[SourceUid]]) -> None:
        """Work until cancelled. `sources` gives those that there are at the moment."""
        while True:
            runs = False
            try:
                runs = await self.round(sources())
            except StoreUnavailable as error:
                log.warning("replays_interrupted", error=str(error))
            except Exception as error:  # noqa: BLE001 - a round that fails must not end the worker, nor the next round
                log.error("replays_failed", error=repr(error), do="see docs/runbook.md")
            await asyncio.sleep(EVERY_S if runs else IDLE_S)

    async def round(self, sources: Sequence[SourceUid]) -> bool:
        """Continue each replay of some sources; says whether any of them runs."""
        if not await self._chores.take("replays", seconds=EVERY_S * 0.9):
            return False
        await self._correcting.begin(now_ms=await self._server.now_ms())
        there, runs = await ask_apart("replays", sources, self._replays.of_any), False
        with_replays = [source for source in sources if there.get(source)]

        async def turn(source: SourceUid) -> None:
            nonlocal runs
            runs = await self.turn(source) or runs

        await each_apart("replay", with_replays, turn)
        if await self._chores.take("trim_replays", seconds=TRIM_S):
            now_ms = await self._server.now_ms()
            await each_apart("trim_replays", with_replays, lambda uid: self._replays.trim(uid, now_ms=now_ms))
        return runs

    async def turn(self, source: SourceUid) -> bool:
        """Continue each replay of a source by one step; says whether any of them runs."""
        running = await self._replays.running(source)
        for replay in running:
            # It was cancelled, or another worker continued it, or the source goes or has too many backfills.
            with suppress(Conflict, NotFound):
                await self._step(source, replay)
        return bool(running)

    async def _step(self, source: SourceUid, replay: Replay) -> None:
        now_ms = await self._server.now_ms()
        endpoint = (await self._endpoints.read([replay.endpoint])).get(replay.endpoint)
        if endpoint is None:
            after = replace(replay, phase="failed", error="the endpoint was deleted", updated_ms=now_ms)
            await self._replays.advance(source, replay, after)
            return
        if replay.at > replay.end:
            after = await self._again.step(source, replay, now_ms=now_ms)
            if after != replay:
                await self._replays.advance(source, replay, after)
            return
        waiting = await self._replays.waiting(source, endpoint.id)
        most = allowance(replay, waiting=waiting, now_ms=now_ms)
        if most <= 0 and not replay.dry_run:
            return
        after, sending = await self._look(source, replay, endpoint, None if replay.dry_run else most)
        used_up = paced(replay, len(sending), now_ms=now_ms)
        after = replace(after, chosen=replay.chosen + len(sending), paced_ms=used_up, updated_ms=now_ms)
        await self._replays.advance(source, replay, after, () if replay.dry_run else sending)
        if after.phase == "finished":
            log.info("replay_finished", source=source, endpoint=endpoint.id, replay=replay.id, deliveries=after.chosen)

    async def _look(
        self, source: SourceUid, replay: Replay, endpoint: Endpoint, most: int | None
    ) -> tuple[Replay, list[Sending]]:
        """Choose up to `most` further deliveries; gives where the replay stands then."""
        known, sending, gone = await self._replays.blocks(source), list[Sending](), list[tuple[int, State]]()
        wanted = replay.wanted
        listed = await self._replays.listed(source, endpoint.id, wanted.listed) if wanted.listed else set()
        left = sorted(block for block in known if replay.at // EVENTS_PER_BUCKET <= block)
        since = (await self._books.since(source)).number
        for block in left[:BLOCKS_AT_ONCE]:
            first = block * EVENTS_PER_BUCKET
            numbers = range(max(first, replay.at, since, FIRST_NUMBER), min(first + EVENTS_PER_BUCKET, replay.end + 1))
            events = await self._events.read(source, numbers)
            halves = await self._books.of_endpoint(source, block, endpoint.id)
            is_within_time = is_within(wanted, oldest_ms=known.get(block - 1, 0), newest_ms=known[block])
            for number in numbers:
                state, event = state_of(halves, number - first), events.get(number)
                if event is None:
                    gone += [(number, state)] * is_within_time
                elif not is_booked(wanted, state) and (number, tag_of(event.id)) not in listed:
                    continue
                elif wants(wanted, endpoint, event, state):
                    sending.append(Sending(delivery(number, endpoint, event, state), state))
                    if most is not None and len(sending) >= most:
                        return replace(short_of(replay, gone), at=number + 1), sending
        replay = short_of(replay, gone)
        is_all = len(left) <= BLOCKS_AT_ONCE or left[BLOCKS_AT_ONCE] * EVENTS_PER_BUCKET > replay.end
        if not is_all:
            return replace(replay, at=left[BLOCKS_AT_ONCE] * EVENTS_PER_BUCKET), sending
        phase: Phase = "running" if reads_again(source, replay) else "finished"
        return replace(replay, at=replay.end + 1, phase=phase), sending

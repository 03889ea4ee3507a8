"""Workers that dispatch for real, over real stores, to subscribers that are scripted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from relay.config import STANDARD_SCHEDULE
from relay.domain.counts import ConnectionCounts
from relay.domain.model import Endpoint
from relay.expressions.evaluator import Evaluator
from relay.observability.spans import Spans
from relay.outbound.callbacks import CallbackSender
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.disabling import Disabling
from relay.pipeline.dispatch.attempting import Attempting
from relay.pipeline.dispatch.batching import Batching
from relay.pipeline.dispatch.composing import Composing
from relay.pipeline.dispatch.dispatcher import Dispatcher
from relay.pipeline.dispatch.looking_up import LookingUp
from relay.pipeline.dispatch.settling import Settling
from relay.pipeline.dispatch.tailing import Tailing
from relay.pipeline.lagging import Lagging
from relay.pipeline.lines import read_lines
from relay.pipeline.token_keeping import TokenKeeping
from relay.store.attempts import Attempts
from relay.store.books import Books
from relay.store.captures import Captures
from relay.store.conditions import Conditions
from relay.store.deletions import Deletions
from relay.store.events import Events
from relay.store.lags import LagWindows
from relay.store.lanes import Lanes
from relay.store.rates import Rates
from relay.store.routes import Token
from relay.store.tail import Tail
from relay.store.tokens import SharedTokens
from tests.fakes.subscribers import Subscribers
from tests.fakes.upstream import make_row
from tests.integration.books import read_books
from tests.integration.pipeline.rig import UK, Rig, until
from tests.patience import PATIENCE_S


class Worker:
    """One worker's dispatcher, with a catalogue of its own."""

    def __init__(
        self,
        rig: Rig,
        subscribers: Subscribers,
        name: str,
        schedule: Sequence[float],
        slots: int,
        spans: Spans | None = None,
    ) -> None:
        sender = CallbackSender(
            subscribers,
            policy=rig.policy,
            user_agent="tests",
            keeper=TokenKeeping(SharedTokens(rig.redis, rig.vault), rig.endpoints),
        )
        self.name = name
        self.evaluator = Evaluator()
        self.catalogue: Catalogue = rig.new_catalogue(sender)
        composing = Composing(
            evaluator=self.evaluator,
            looking_up=LookingUp(
                catalogue=self.catalogue,
                sender=sender,
                evaluator=self.evaluator,
                rates=Rates(rig.redis),
                clock=rig.clock,
            ),
            captures=Captures(rig.redis, lives_s=3600),
        )
        self.dispatcher = Dispatcher(
            session=name,
            lanes=rig.lanes,
            rates=Rates(rig.redis),
            conditions=Conditions(rig.redis),
            deletions=Deletions(rig.redis),
            bodies=rig.bodies,
            settling=Settling(books=Books(rig.redis), events=rig.events, clock=rig.clock),
            catalogue=self.catalogue,
            attempting=Attempting(
                catalogue=self.catalogue, sender=sender, composing=composing,
                batching=Batching(composing=composing, evaluator=self.evaluator, sender=sender, clock=rig.clock),
                clock=rig.clock, deadline_s=PATIENCE_S, tailing=Tailing(Tail(rig.redis)), spans=spans,
            ),
            clock=rig.clock,
            lagging=Lagging(LagWindows(rig.redis), rig.clock, session=name),
            disable=Disabling(rig.endpoints, rig.clock),
            slots=slots,
            schedule=schedule,
            connections=ConnectionCounts(),
        )  # fmt: skip

    async def start(self) -> None:
        """Begin to send."""
        await self.catalogue.refresh()
        self.dispatcher.follow_sources()

    async def dies(self) -> None:
        """Stop in the middle of everything, as a killed process does."""
        dispatcher = self.dispatcher
        tasks = [*dispatcher._senders, *(task for _, task in dispatcher._exchanges.values())]
        tasks += [dispatcher._asker] if dispatcher._asker else []
        dispatcher._exchanges.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Dispatching:
    """Rows that come, workers that send, and time that passes when a test says so."""

    def __init__(self, rig: Rig, spans: Spans | None = None) -> None:
        self.rig = rig
        self._spans = spans
        self.subscribers = Subscribers()
        self.workers: list[Worker] = []
        self._token: Token | None = None
        self._newest = 0

    @asynccontextmanager
    async def worker(self, *, schedule: Sequence[float] = STANDARD_SCHEDULE, slots: int = 64) -> AsyncIterator[Worker]:
        """A worker that is drained when the block ends, unless it died."""
        worker = Worker(self.rig, self.subscribers, f"worker {len(self.workers) + 1}", schedule, slots, self._spans)
        self.workers.append(worker)
        await worker.start()
        try:
            yield worker
        finally:
            if worker.dispatcher._exchanges:
                await worker.dispatcher.drain(PATIENCE_S)
            await worker.evaluator.aclose()

    async def rows(self, count: int, **columns: Any) -> list[int]:
        """So many rows come, and are events; gives their ids."""
        ids = list(range(self._newest + 1, self._newest + 1 + count))
        self._newest += count
        await self._take_in(ids, columns)
        return ids

    async def again(self, row_id: int, **columns: Any) -> None:
        """A row that came before comes again, changed."""
        await self._take_in([row_id], columns)

    async def _take_in(self, ids: list[int], columns: dict[str, Any]) -> None:
        source = self.rig.catalogue.sources[UK]
        self._token = self._token or await self.rig.routes.take(UK)
        assert self._token is not None
        lines = await read_lines([msgspec.json.encode(make_row(i, **columns)) for i in ids])
        ingest = self.rig.ingest()
        await ingest.take_in(source, "all", lines, row_ids=ids, cursor=self._newest, token=self._token)
        self.wake()

    def wake(self) -> None:
        """What Redis tells workers when lanes were filled."""
        for worker in self.workers:
            worker.dispatcher.wake(UK)

    async def changed(self) -> None:
        """What Redis tells workers when the configuration was changed."""
        for worker in self.workers:
            await worker.catalogue.refresh()
            worker.dispatcher.follow_sources()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and make ready what came due."""
        self.rig.clock.advance(seconds)
        await Lanes(self.rig.eyes).sweep(UK, now_ms=self.rig.clock.at_ms)
        self.wake()

    @asynccontextmanager
    async def time_passing(self) -> AsyncIterator[None]:
        """The clock goes as fast as the real one."""

        async def pass_on() -> None:
            while True:
                await asyncio.sleep(0.005)
                self.rig.clock.advance(0.005)

        task = asyncio.create_task(pass_on())
        try:
            yield
        finally:
            task.cancel()

    async def worker_dies_with_everything(self) -> None:
        """A worker claims all lanes, puts whatever was in flight at a crash before on the wire, and dies."""
        lanes = Lanes(self.rig.eyes)
        claimed = await lanes.exchange(
            UK,
            [],
            session="dead",
            turn=1,
            before=0,
            now_ms=self.rig.clock.at_ms,
            lives_ms=-1,
            claim=9,
            per_lane=99,
        )
        await lanes.announce("dead", [(UK, each.endpoint, ref) for each in claimed.given for ref in each.references])
        await self.pass_time(0)

    async def change(self, endpoint: Endpoint, **fields: Any) -> Endpoint:
        """Change an endpoint, and let the workers know."""
        changed = await self.rig.change(endpoint, **fields)
        await self.changed()
        return changed

    async def left(self) -> int:
        """How many deliveries have not ended."""
        return sum((await read_books(self.rig.eyes, UK)).references.values())

    async def all_ended(self) -> None:
        """Wait until nothing is left."""

        async def none() -> bool:
            return await self.left() == 0

        await until(none)
        await self.settled()

    async def settled(self) -> None:
        """Wait until no lane is held, or could be: everything that was sent is handed in."""

        async def quiet() -> bool:
            # Read while workers go on: what does not add up in one look does in the next, if all is well.
            books = await read_books(self.rig.eyes, UK)
            is_quiet = not books.flying and all(state == "p" for state in books.lanes.values())
            return is_quiet and not books.faults()

        await until(quiet)

    async def attempts(self, endpoint: Endpoint) -> list[tuple[int, int, str]]:
        """An endpoint's attempts, oldest first: which try, the status, the verdict."""
        found = await Attempts(self.rig.eyes).of_endpoint(UK, endpoint.id, limit=1000)
        return [(each.number, each.status, each.verdict) for _, each in reversed(found)]

    def events(self) -> Events:
        """The events, as a bystander reads them."""
        return Events(self.rig.eyes)

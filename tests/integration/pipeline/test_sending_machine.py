"""Whatever happens, in whatever order: what is in the lanes reaches its endpoint, and nothing waits for ever.

A machine of random steps that drives the real core, the real exchange and the real scripts against the real server: two
workers that lose answers, sleep and die; receivers that are down, busy, gone or ask for a rest; endpoints that are
switched off and on and change their order; two sources at every endpoint; and a store that goes back in time.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from relay.domain.model import Endpoint, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.replaying import Chosen
from relay.domain.requests.model import Batch, RequestShape
from relay.errors import StoreUnavailable
from relay.store import keys, rate_keys
from relay.store.events import pack_event
from relay.store.pages import RowCommit
from relay.store.replays import Replays
from relay.store.routes import Token
from relay.store.undelivered import Undelivered
from tests.fakes.eyes import eyes
from tests.fakes.faulty_redis import faulty
from tests.integration.books import read_books, restore, snapshot
from tests.integration.pipeline.replays_rig import replay_of, replay_turns
from tests.integration.pipeline.rig import UK, Rig
from tests.integration.pipeline.stepped_worker import OUTCOMES, SteppedWorker, sessions_end
from tests.patience import PATIENCE_S

FR = SourceUid("fr")
SOURCES = (UK, FR)
ORDERS: dict[str, dict[str, Any]] = {
    "unordered": {"order": "unordered", "order_key": None},
    "fifo": {"order": "fifo", "order_key": None},
    "keyed": {"order": "keyed", "order_key": "visitorId"},
    "keyed otherwise": {"order": "keyed", "order_key": "callId"},
}
PACES: dict[str, dict[str, Any]] = {
    "delayed": {"order": "fifo", "delay_s": 6.0},
    "newest": {"order": "keyed", "order_key": "visitorId", "delay_s": 6.0, "newest_only": True},
    "crowded": {"concurrency": 2},
    "together": {"request": RequestShape(batch=Batch(size=4, wait_s=6.0))},
}
"""Endpoints that wait for more than their turn."""
KINDS = [*OUTCOMES, "keep", "breaks"]
RESULTS = st.lists(st.sampled_from(["ended", "ended", "ended", "keep", "down", *KINDS]), min_size=1, max_size=8)
OFF = ["disabled", "paused"]
STEPS = int(os.environ.get("RELAY_TEST_SENDING_STEPS", "1200"))
STEPS_OF_ONE_RUN = 60


@dataclass(frozen=True)
class Made:
    """An event that was committed: where it stands in the order of its source, and what it is ordered by."""

    source: SourceUid
    place: int
    visitor: str


class World(RuleBasedStateMachine):
    """One application with an endpoint of each order, and one whose order changes."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.broken = False
        self.workers: dict[int, SteppedWorker] = {}
        self.born = self.made = self.replays = 0
        self.sent: list[tuple[EndpointId, MessageId]] = []
        self.events: dict[MessageId, Made] = {}
        self.owed: set[tuple[EndpointId, MessageId]] = set()
        self.again: set[tuple[EndpointId, MessageId]] = set()
        """What was given up and sent again: its order is gone."""
        self.kept: tuple[Any, ...] | None = None

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self.runner.run(asyncio.wait_for(work, 10 * PATIENCE_S))
        except BaseException:
            self.broken = True
            raise

    @initialize()
    def begin(self) -> None:
        async def work() -> None:
            self.eyes = eyes(self.url)
            await self.eyes.flushdb()
            self.rig = Rig(faulty(self.url), self.eyes)
            self.endpoints: dict[str, Endpoint] = {}
            self.tokens: dict[SourceUid, Token] = {}
            source = await self.rig.source()
            await self.rig.sources.put(FR, lambda _: msgspec.structs.replace(source, uid=FR))
            application = await self.rig.application()
            for name in (*ORDERS, *PACES, "changing"):
                fields = {"max_in_flight": 3, **(ORDERS | PACES).get(name, {})}
                self.endpoints[name] = await self.rig.endpoint(
                    application, url=f"https://{name[0]}.example.com/", **fields
                )
            for uid in SOURCES:
                token = await self.rig.routes.take(uid)
                assert token is not None
                self.tokens[uid] = token
                await self.eyes.persist(keys.lease(uid))
                await self.commit(uid, 6)

        self.run(work())

    # Events

    @rule(source=st.sampled_from(SOURCES), count=st.integers(1, 12))
    def events_come(self, source: SourceUid, count: int) -> None:
        self.run(self.commit(source, count))

    async def commit(self, source: SourceUid, count: int) -> None:
        token = self.tokens[source]
        # The store may have gone back in time.
        await self.rig.routes.look(source, token)
        _, first = await self.rig.pages.known(source, "t", range(count), token=token)
        lanes = [(endpoint.id, 4) for endpoint in self.endpoints.values()]
        rows = []
        for number in range(first, first + count):
            self.made += 1
            message = MessageId(f"msg_{self.made:05}{'a' * 47}")
            visitor = str(self.made % 3)
            body = msgspec.json.encode({"data": {"trigger": {"visitorId": visitor, "callId": str(self.made % 2)}}})[1:]
            event = StoredEvent(
                id=message, row_id=str(self.made), stored_at_ms=self.rig.clock.at_ms, revision=1, types=b"\4", body=body
            )
            rows.append(RowCommit(self.made, b"seen", message, number, pack_event(event), lanes))
            self.events[message] = Made(source, self.made, visitor)
            self.owed |= {(endpoint, message) for endpoint, _ in lanes}
        await self.committed(source, rows)

    async def committed(self, source: SourceUid, rows: list[RowCommit]) -> None:
        await self.rig.pages.commit(
            source, "all", rows, space="t", cursor=None, token=self.tokens[source], version=2**52,
            now_ms=self.rig.clock.at_ms,
        )  # fmt: skip

    # Workers

    def worker(self, which: int) -> SteppedWorker:
        if which not in self.workers:
            self.born += 1
            self.workers[which] = SteppedWorker(self.rig, f"worker {self.born}", self.sent)
        return self.workers[which]

    @rule(which=st.integers(0, 1), rounds=st.integers(1, 4), outcomes=RESULTS)
    def a_worker_works(self, which: int, rounds: int, outcomes: list[str]) -> None:
        results = cycle(outcomes)
        for _ in range(rounds):
            self.run(self.worker(which).work(results))

    @rule(which=st.integers(0, 1), outcomes=RESULTS, commands=st.integers(0, 12), takes_effect=st.booleans())
    def a_worker_loses_an_answer(self, which: int, outcomes: list[str], commands: int, takes_effect: bool) -> None:
        self.rig.redis.faults.after(commands, takes_effect=takes_effect)
        self.run(self.worker(which).work(cycle(outcomes)))
        self.rig.redis.faults.stop()

    @rule(which=st.integers(0, 1), wakes=st.booleans(), announced=st.booleans())
    def a_worker_is_given_up(self, which: int, wakes: bool, announced: bool) -> None:
        """It died, or slept so long that others took it for dead, and goes on with what it remembers."""
        worker = self.worker(which)
        if announced:
            self.run(worker.work(cycle(["keep"])))
        self.run(sessions_end(self.rig, *SOURCES))
        self.run(self.places_end())
        if not wakes:
            del self.workers[which]

    async def places_end(self) -> None:
        """The places of callbacks in flight count by the clock of the server, which goes its own way here."""
        for key in (rate_keys.crowd, rate_keys.line):
            await self.eyes.delete(key(self.endpoints["crowded"].id))

    @precondition(lambda self: self.workers)
    @rule(which=st.integers(0, 1))
    def a_worker_leaves(self, which: int) -> None:
        if (worker := self.workers.pop(which, None)) is not None:
            self.run(worker.drain())

    @rule(seconds=st.sampled_from([0, 1, 6, 40]))
    def time_passes(self, seconds: int) -> None:
        async def work() -> None:
            self.rig.clock.advance(seconds)
            for source in SOURCES:
                await self.rig.lanes.sweep(source, now_ms=self.rig.clock.at_ms)

        self.run(work())

    @rule(which=st.integers(0, 1), takes_rows_in=st.booleans())
    def a_busy_worker_hears_of_room_elsewhere(self, which: int, takes_rows_in: bool) -> None:
        sharing = self.worker(which).core.sharing
        sharing.measured(1.0, takes_rows_in=takes_rows_in)
        sharing.heard(self.rig.clock.at_ms)

    @rule(which=st.integers(0, 1), source=st.sampled_from(SOURCES))
    def a_worker_reads_its_events_again(self, which: int, source: SourceUid) -> None:
        """Some have lost their content, as far as it knows."""
        self.worker(which).core.reread(source, self.rig.clock.at_ms)

    # Operators

    @rule(
        name=st.sampled_from([*ORDERS, *PACES, "changing"]),
        what=st.sampled_from(["disabled", "paused"]),
        on=st.booleans(),
    )
    def an_endpoint_is_switched(self, name: str, what: str, on: bool) -> None:
        self.run(self.change(name, **{what: not on}))

    @rule(order=st.sampled_from(sorted(ORDERS)))
    def an_order_changes(self, order: str) -> None:
        self.run(self.change("changing", **ORDERS[order]))

    @rule(name=st.sampled_from(sorted(ORDERS)), most=st.integers(1, 8))
    def a_maximum_changes(self, name: str, most: int) -> None:
        self.run(self.change(name, max_in_flight=most))

    async def change(self, name: str, **fields: Any) -> None:
        self.endpoints[name] = await self.rig.change(self.endpoints[name], **fields)

    @rule()
    def what_was_given_up_is_sent_again(self) -> None:
        self.run(self.resurrect())

    @rule(
        name=st.sampled_from(sorted(ORDERS)),
        state=st.sampled_from(["delivered", "dead", "never"]),
        commands=st.one_of(st.none(), st.integers(0, 12)),
        takes_effect=st.booleans(),
    )
    def some_are_replayed(self, name: str, state: Chosen, commands: int | None, takes_effect: bool) -> None:
        """Also by a worker that dies at any command; nobody goes on with a replay that it did not end."""
        self.run(self.replayed(name, state, commands, takes_effect))

    async def replayed(self, name: str, state: Chosen, commands: int | None, takes_effect: bool) -> None:
        endpoint = self.endpoints[name]
        self.again |= {(endpoint.id, message) for message in self.events}
        for source in SOURCES:
            self.replays += 1
            asked = replay_of(endpoint, f"qtask_{self.replays}", states=(state,), end=self.made)
            await Replays(self.eyes).create(source, asked)
            if commands is not None:
                self.rig.redis.faults.after(commands, takes_effect=takes_effect)
            with suppress(StoreUnavailable):
                await replay_turns(self.rig).turn(source)
            self.rig.redis.faults.stop()
            for left in await Replays(self.eyes).running(source):
                await Replays(self.eyes).advance(source, left, replace(left, phase="cancelled"))

    async def resurrect(self) -> None:
        for source in SOURCES:
            dead = (await read_books(self.eyes, source)).dead
            events = await self.rig.events.read(source, [reference.number for _, reference, _ in dead])
            for endpoint, reference, _ in dead:
                self.again.add((endpoint, events[reference.number].id))
                again = reference._replace(attempt=1, crashes=0, by_hand=1)
                await Undelivered(self.rig.redis).resend(source, endpoint, again)

    # The store

    @rule()
    def the_store_is_copied(self) -> None:
        async def work() -> None:
            self.kept = (
                await snapshot(self.eyes), dict(self.endpoints), set(self.owed), dict(self.events), set(self.again)
            )  # fmt: skip

        self.run(work())

    @precondition(lambda self: self.kept is not None)
    @rule()
    def the_store_goes_back_in_time(self) -> None:
        """What was written since the copy is lost: events too, which would be polled again."""

        async def work() -> None:
            assert self.kept is not None
            kept, self.endpoints, self.owed, self.events, self.again = self.kept
            await restore(self.eyes, kept)
            self.kept = None

        self.run(work())

    # What must be true

    @invariant()
    def the_books_add_up(self) -> None:
        if hasattr(self, "rig"):
            self.run(self.checked())

    async def checked(self) -> None:
        for source in SOURCES:
            assert (await read_books(self.eyes, source)).faults() == []
        for worker in self.workers.values():
            worker.send()
            assert worker.idle_although_it_could_send() == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "rig") and not self.broken:
                self.run(self.end())
        finally:
            if hasattr(self, "rig"):
                self.runner.run(self.close())
            self.runner.close()

    async def close(self) -> None:
        await self.rig.redis.aclose()
        await self.eyes.aclose()

    async def end(self) -> None:
        """Everything is well again: then everything arrives, in its order, within a bounded time."""
        for name in self.endpoints:
            await self.change(name, disabled=False, paused=False)
        await sessions_end(self.rig, *SOURCES)
        await self.places_end()
        left: Counter[Any] = Counter()
        for _ in range(80 + self.made):
            await self.resurrect()
            for which in (0, 1):
                await self.worker(which).work(cycle(["ended"]))
            self.rig.clock.advance(20)
            left = Counter()
            for source in SOURCES:
                while (await self.rig.lanes.sweep(source, now_ms=self.rig.clock.at_ms)).more:
                    pass
                left.update((await read_books(self.eyes, source)).places)
            if not left:
                break
        assert not left, f"it waits for ever: {await self.told(left)}"
        await self.checked()
        assert self.owed - set(self.sent) == set()
        self.orders_were_kept()

    async def told(self, left: Counter[Any]) -> list[str]:
        """Where what is left stands, and what the workers know of it."""
        names = {endpoint.id: name for name, endpoint in self.endpoints.items()}
        said = [str(Counter(names.get(endpoint, endpoint) for endpoint, _ in left))]
        for source in SOURCES:
            books = await read_books(self.eyes, source)
            places = {"waiting": books.waiting, "flying": books.flying, "behind": books.behind}
            counts = {place: {names.get(e): len(refs) for e, refs in some.items()} for place, some in places.items()}
            lanes = {names.get(e): state for e, state in books.lanes.items()}
            said.append(f"{source}: lanes {lanes}, due {books.due}, {counts}")
        for worker in self.workers.values():
            for machine in worker.core._machines.values():
                lanes = [
                    (lane.source, lane.state, len(lane.queue), len(lane.flying)) for lane in machine.lanes.values()
                ]
                said.append(
                    f"{worker.name} {names.get(machine.id)} {machine.state} {machine.receiver.condition} {lanes}"
                )
                said.append(f"{machine.flying} flying, {machine.window.size} {len(machine.line)} {machine.rights.left}")
            said.append(f"{worker.core._turns._free} slots, {len(worker.flying)} {worker.core._trials._tried}")
        return said

    def orders_were_kept(self) -> None:
        first = dict.fromkeys(each for each in self.sent if each in self.owed and each not in self.again)
        by_visitor = ("keyed", "newest")
        for name in ("fifo", "delayed", *by_visitor):
            endpoint, places = self.endpoints[name].id, defaultdict(list)
            for sent_to, message in first:
                if sent_to == endpoint:
                    made = self.events[message]
                    places[made.source, made.visitor if name in by_visitor else ""].append(made.place)
            for found in places.values():
                assert found == sorted(found), name


@pytest.mark.hypothesis
@pytest.mark.timeout(1200)
def test_everything_is_sent_whatever_happens(redis_url: str) -> None:
    """Nothing is lost, stranded or out of order, and the books add up after every step."""
    bound: Callable[[], Any] = type("World", (World,), {"url": redis_url})
    run_state_machine_as_test(
        bound,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_OF_ONE_RUN),
            stateful_step_count=STEPS_OF_ONE_RUN,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        ),
    )

"""Whatever happens, in whatever order: a row is one event, and an event one delivery for each endpoint that wants it.

A machine of random steps against the real server: rows that come, come late and change; pollers that die between any
two commands, sleep and come back; endpoints that are made, disabled and deleted while a page is on its way; workers
that lose answers and die, with the real core and the real exchange. After each step the store's books must add up, and
at the end nothing is missing or double.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from relay.domain.envelope import decode
from relay.domain.event_types import EVENT_TYPES
from relay.domain.model import Endpoint, EndpointId, MessageId, StoredEvent
from relay.errors import StoreUnavailable
from relay.pipeline import polling as polling_module
from relay.store import keys
from relay.store.retention import Retention
from relay.store.undelivered import Undelivered
from tests.fakes.eyes import eyes
from tests.fakes.faulty_redis import Died, faulty
from tests.fakes.upstream import make_row
from tests.integration.books import read_books
from tests.integration.pipeline.rig import UK, Rig, has_nothing_to_do
from tests.integration.pipeline.stepped_worker import OUTCOMES, SteppedWorker, sessions_end
from tests.patience import PATIENCE_S

ROUTES = ("calls", "all")
WANTS: dict[str, tuple[str, ...] | None] = {
    "all": None,
    "goals": ("goal.created", "goal.updated"),
    "new": ("call.created",),
}
GAPS = st.lists(st.integers(1, 3), min_size=1, max_size=6)
RESULTS = st.lists(st.sampled_from(["ended", "ended", "ended", "keep", *OUTCOMES]), min_size=1, max_size=6)
MOST_SUBSCRIBERS = 5


class Subscriber:
    """An endpoint, the events that were there before it was, and those that came while it was being made."""

    def __init__(self, endpoint: Endpoint, *, before: set[int], meanwhile: set[int]) -> None:
        self.endpoint = endpoint
        self.before = before
        self.meanwhile = meanwhile

    def wants(self, number: int, event: StoredEvent) -> bool:
        types = {EVENT_TYPES[code] for code in event.types}
        wanted = self.endpoint.event_types
        return number not in self.before and (wanted is None or not types.isdisjoint(wanted))


class World(RuleBasedStateMachine):
    """One source with two routes that show the same rows with different columns."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.broken = False
        self.versions: dict[int, list[dict[str, Any]]] = {}
        self.subscribers: dict[EndpointId, Subscriber] = {}
        self.events: dict[int, StoredEvent] = {}
        self.sent: list[tuple[EndpointId, MessageId]] = []
        self.workers: dict[int, SteppedWorker] = {}
        self.born = 0
        self.cursors = dict.fromkeys(ROUTES, 0)

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
            await self.rig.source(*ROUTES, batch_size=4)
            self.application = await self.rig.application()
            for wants in ("all", "new"):
                await self.subscribe(wants)
            for row_id in (1, 2, 4, 7):
                self.show(make_row(row_id), 3)
            await self.polled()

        self.run(work())

    # Rows

    @rule(gaps=GAPS, goal=st.booleans(), routes=st.sampled_from([1, 2, 3, 3]), polled=st.booleans(), data=st.data())
    def the_upstream_moves(self, gaps: list[int], goal: bool, routes: int, polled: bool, data: st.DataObject) -> None:
        newest = max(self.versions, default=0)
        missing = sorted(set(range(1, newest)) - set(self.versions))
        if self.versions:
            row_id = data.draw(st.sampled_from(sorted(self.versions)))
            changes = data.draw(st.sampled_from([{}, {"goal": "2"}, {"callDuration": "9"}, {"callDuration": "61"}]))
            where = sum(bit for bit, route in enumerate(ROUTES, 1) if row_id in self.rig.upstream.lines[route])
            self.show(self.versions[row_id][-1] | changes, where)
        if missing:
            self.show(make_row(data.draw(st.sampled_from(missing))), routes)
        for gap in gaps:
            newest += gap
            self.show(make_row(newest, **({"goal": "1"} if goal else {})), routes)
        if polled:
            self.run(self.polled())

    def show(self, row: dict[str, Any], routes: int) -> None:
        """Routes show different columns: the same row is not the same line."""
        self.versions.setdefault(int(row["rowId"]), []).append(row)
        for bit, route in enumerate(ROUTES, 1):
            if routes & bit:
                self.rig.upstream.show(row | ({"chName": "x", "extra": "y"} if route == "calls" else {}), route=route)

    # Pollers

    @rule(fault=st.sampled_from(["none", "dies", "breaks"]), commands=st.integers(0, 30), takes_effect=st.booleans())
    def a_poller_polls(self, fault: str, commands: int, takes_effect: bool) -> None:
        if fault != "none":
            kind = Died if fault == "dies" else StoreUnavailable
            self.rig.redis.faults.after(commands, takes_effect=takes_effect, kind=kind)
        self.run(self.polled())

    @rule(what=st.sampled_from(["subscribe", "unsubscribe", "overtake"]), commits=st.integers(0, 1), data=st.data())
    def something_happens_before_a_commit(self, what: str, commits: int, data: st.DataObject) -> None:
        meanwhile = self.overtaken
        if what == "subscribe" and len(self.subscribers) < MOST_SUBSCRIBERS:
            wants = data.draw(st.sampled_from(sorted(WANTS)))
            meanwhile = partial(self.subscribe, wants)
        elif what == "unsubscribe" and len(self.subscribers) > 1:
            meanwhile = partial(self.unsubscribe, data.draw(st.sampled_from(list(self.subscribers))))
        self.rig.redis.faults.interrupt(commits, meanwhile, only="commit_page")
        self.run(self.polled())

    @rule(others_poll=st.booleans())
    def a_poller_sleeps(self, others_poll: bool) -> None:
        async def work() -> None:
            self.rig.clock.advance(61)
            held, poller = self.rig.upstream.hold_next(), self.rig.poller(overlap_s=10**6, changes_s=(100.0, 500.0))
            task = asyncio.create_task(poller.slice(UK))
            before = len(self.rig.upstream.requests)
            while len(self.rig.upstream.requests) == before:
                await asyncio.sleep(0)
            if others_poll:
                await self.overtaken()
            held.set()
            poller.stopping.set()
            await task
            await self.learn()

        self.run(work())

    async def overtaken(self) -> None:
        """The lease runs out, and another process polls."""
        await self.eyes.delete(keys.lease(UK))
        await self.slice()
        await self.eyes.delete(keys.lease(UK))

    async def polled(self) -> None:
        """A process polls, until there is nothing to do, or until it dies."""
        self.rig.clock.advance(61)
        with suppress(Died, StoreUnavailable):
            await self.slice()
        faults = self.rig.redis.faults
        meanwhile = faults.meanwhile
        faults.stop()
        if meanwhile is not None:
            await meanwhile()
        await self.eyes.delete(keys.lease(UK))
        await self.learn()

    async def slice(self) -> None:
        poller = self.rig.poller(overlap_s=10**6, changes_s=(100.0, 500.0))
        task = asyncio.create_task(poller.slice(UK))
        while not (task.done() or await self.idle()):
            await asyncio.sleep(0)
        poller.stopping.set()
        await task

    async def idle(self) -> bool:
        return await has_nothing_to_do(self.rig, *ROUTES)

    async def learn(self) -> None:
        """Note the events that are there now: old ones may be forgotten later."""
        newest = await self.rig.events.newest(UK)
        for first in range(max(self.events, default=0), newest + 1, 500):
            self.events |= await self.rig.events.read(UK, range(first, first + 500))

    # Subscribers

    @precondition(lambda self: self.subscribers)
    @rule(what=st.sampled_from(["make", "delete", "disable", "enable"]), data=st.data())
    def an_endpoint_changes(self, what: str, data: st.DataObject) -> None:
        endpoint = data.draw(st.sampled_from(list(self.subscribers)))
        if what == "make" and len(self.subscribers) < MOST_SUBSCRIBERS:
            self.run(self.subscribe(data.draw(st.sampled_from(sorted(WANTS)))))
        elif what == "delete" and len(self.subscribers) > 1:
            self.run(self.unsubscribe(endpoint))
        elif what in ("disable", "enable"):
            self.run(self.switch(endpoint, disabled=what == "disable"))

    async def subscribe(self, wants: str) -> None:
        await self.learn()
        before = set(self.events)
        made = await self.rig.endpoints.create(
            lambda i: Endpoint(id=i, app_id=self.application.id, url="https://crm.test/", event_types=WANTS[wants]),
            now_ms=0,
        )
        await self.learn()
        self.subscribers[made.id] = Subscriber(made, before=before, meanwhile=set(self.events) - before)

    async def unsubscribe(self, endpoint: EndpointId) -> None:
        if self.subscribers.pop(endpoint, None) is not None:
            await self.rig.endpoints.delete(self.application.id, endpoint)

    async def switch(self, endpoint: EndpointId, *, disabled: bool) -> None:
        await self.rig.change(self.subscribers[endpoint].endpoint, disabled=disabled)
        await self.rig.catalogue.refresh()

    # Workers

    @rule(which=st.integers(0, 1), turns=st.lists(RESULTS, min_size=1, max_size=4))
    def a_worker_works(self, which: int, turns: list[list[str]]) -> None:
        for outcomes in turns:
            self.run(self.worker(which).work(cycle(outcomes)))

    @rule(which=st.integers(0, 1), outcomes=RESULTS, takes_effect=st.booleans(), commands=st.integers(0, 9))
    def a_worker_loses_an_answer(self, which: int, outcomes: list[str], takes_effect: bool, commands: int) -> None:
        self.run(self.worker(which).work(cycle(["keep"])))
        self.rig.redis.faults.after(commands, takes_effect=takes_effect)
        self.run(self.worker(which).work(cycle(outcomes)))
        self.rig.redis.faults.stop()

    @rule(which=st.integers(0, 1), wakes=st.booleans(), outcomes=RESULTS)
    def a_worker_is_given_up(self, which: int, wakes: bool, outcomes: list[str]) -> None:
        """It died, or it slept so long that others took it for dead, and goes on with what it remembers."""
        worker = self.worker(which)
        self.run(worker.work(cycle(["keep"])))
        self.run(sessions_end(self.rig, UK))
        if wakes:
            self.run(worker.work(cycle(outcomes)))
        else:
            del self.workers[which]

    @rule(seconds=st.sampled_from([1, 40]), resend=st.booleans(), forget=st.booleans())
    def time_passes(self, seconds: int, resend: bool, forget: bool) -> None:
        async def work() -> None:
            self.rig.clock.advance(seconds)
            await self.rig.lanes.sweep(UK, now_ms=self.rig.clock.at_ms)
            if resend:
                await self.resurrect()
            if forget:
                await Retention(self.eyes).forget_events(UK, before_ms=self.rig.clock.at_ms)

        self.run(work())

    def worker(self, which: int) -> SteppedWorker:
        if which not in self.workers:
            self.born += 1
            self.workers[which] = SteppedWorker(self.rig, f"worker {self.born}", self.sent)
        return self.workers[which]

    async def resurrect(self) -> None:
        for endpoint, reference, _ in (await read_books(self.eyes, UK)).dead:
            await Undelivered(self.rig.redis).resend(UK, endpoint, reference._replace(attempt=1, crashes=0, by_hand=0))

    # What must be true

    @invariant()
    def the_books_add_up(self) -> None:
        if hasattr(self, "rig"):
            self.run(self.checked())

    async def checked(self) -> None:
        books = await read_books(self.eyes, UK)
        assert books.faults() == []
        for route in ROUTES:
            cursor = (await self.rig.state(route)).cursor or 0
            assert cursor >= self.cursors[route]
            self.cursors[route] = cursor

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
        """Everything comes to rest: then nothing may be missing, and nothing double."""
        for _ in range(2):
            await self.polled()
        for endpoint in self.subscribers:
            await self.switch(endpoint, disabled=False)
        await sessions_end(self.rig, UK)
        last = SteppedWorker(self.rig, "last", self.sent)
        for _ in range(200):
            await self.resurrect()
            self.rig.clock.advance(40)
            await self.rig.lanes.sweep(UK, now_ms=self.rig.clock.at_ms)
            await last.work(cycle(["ended"]))
            await self.rig.deleting().round()
            if not (books := await read_books(self.eyes, UK)).places:
                break
        await self.checked()
        assert not any(books.references.values())
        self.rows_are_events()
        self.events_are_deliveries()

    def rows_are_events(self) -> None:
        told: dict[int, list[tuple[int, bytes]]] = {}
        for _, event in sorted(self.events.items()):
            told.setdefault(int(event.row_id), []).append((event.revision, event.body))
        assert set(told) == set(self.versions)
        for row_id, versions in self.versions.items():
            assert [revision for revision, _ in told[row_id]] == list(range(1, len(told[row_id]) + 1))
            assert len(told[row_id]) <= len(versions)
            newest = decode(told[row_id][-1][1])["trigger"]
            assert str(newest["callDuration"]) == versions[-1]["callDuration"]
            assert str(newest.get("goal")) == str(versions[-1].get("goal"))
        assert len({event.id for event in self.events.values()}) == len(self.events)

    def events_are_deliveries(self) -> None:
        wanted = {
            (endpoint, event.id): number not in subscriber.meanwhile
            for endpoint, subscriber in self.subscribers.items()
            for number, event in self.events.items()
            if subscriber.wants(number, event)
        }
        sent = {delivery for delivery in self.sent if delivery[0] in self.subscribers}
        assert sorted(sent - set(wanted)) == []
        assert sorted({delivery for delivery, surely in wanted.items() if surely} - sent) == []


@pytest.mark.hypothesis
@pytest.mark.timeout(1200)
def test_exactly_once(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is missed, doubled or lost, and the books add up after every step."""
    monkeypatch.setattr(polling_module, "LOOK_AGAIN_S", 0.005)
    monkeypatch.setattr(polling_module, "STORE_RETRY_S", 0.005)
    bound: Callable[[], Any] = type("World", (World,), {"url": redis_url})
    run_state_machine_as_test(
        bound,
        settings=settings(
            max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )

"""A random walk through the core alone: whatever happens, what can be sent is sent, in its order, and nothing waits."""

from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from relay.domain.model import ApplicationId, Endpoint, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.outcomes import Failure, Outcome
from relay.domain.references import Reference, tag_of
from relay.domain.sending.delivery import Delivery
from tests.unit.domain.sending.toy_store import SESSION_LIVES_MS
from tests.unit.domain.sending.toy_worker import ToyWorker, World

SOURCES = [SourceUid("uk"), SourceUid("fr")]
FREE, FIFO, KEYED, MOVING = (EndpointId(f"ep_{name}") for name in ("free", "fifo", "keyed", "moving"))
ENDPOINTS = [FREE, FIFO, KEYED, MOVING]
ORDERS: list[dict[str, Any]] = [
    {"order": "unordered", "order_key": None},
    {"order": "fifo", "order_key": None},
    {"order": "keyed", "order_key": "visitorId"},
]
OUTCOMES = {
    "ended": Outcome(status=200, duration_ms=3),
    "slow": Outcome(status=200, duration_ms=3000),
    "refused": Outcome(status=404),
    "down": Outcome(error=Failure.CONNECT),
    "busy": Outcome(status=503, retry_after="7"),
    "asks": Outcome(status=429, retry_after="90"),
    "gone": Outcome(status=410),
    "ours": Outcome(error=Failure.LOCAL),
}
FATES = ["works"] * 4 + ["call lost", "answer lost"]
SOME = st.lists(st.sampled_from(["ended", "ended", *OUTCOMES, "breaks", "untried", "keep"]), min_size=1, max_size=8)


class Walk(RuleBasedStateMachine):
    """Two sources at four endpoints, and up to two workers."""

    @initialize(slots=st.sampled_from([1, 2, 8]))
    def begin(self, slots: int) -> None:
        self.slots = slots
        self.world = World(on_send=self.sends, on_end=self.ended)
        for number, endpoint in enumerate(ENDPOINTS):
            self.world.endpoints[endpoint] = Endpoint(
                id=endpoint, app_id=ApplicationId("app"), url="", max_in_flight=3, **ORDERS[number % 3]
            )
        self.workers: dict[int, ToyWorker] = {}
        self.born = self.made = 0
        self.owed: set[tuple[EndpointId, MessageId]] = set()
        self.over: set[tuple[EndpointId, MessageId]] = set()
        """What some worker saw delivered, or gave up."""
        self.orders: dict[tuple[EndpointId, SourceUid, str], list[MessageId]] = defaultdict(list)
        """What must go out in this order: of a source to an endpoint, and of a visitor."""
        self.kept: Any = None
        self.commit(SOURCES[0], 3)

    # What must be true

    def line_of(self, endpoint: EndpointId, source: SourceUid, visitor: str) -> list[MessageId]:
        return self.orders[endpoint, source, "" if endpoint == FIFO else visitor]

    def sends(self, delivery: Delivery) -> None:
        endpoint = delivery.lane.machine.id
        known = delivery.lane.machine.endpoint
        assert known is not None
        assert not known.disabled, f"{endpoint} is off"
        if endpoint in (FIFO, KEYED):
            visitor = msgspec.json.decode(b"{" + delivery.event.body)["data"]["trigger"]["visitorId"]
            line = self.line_of(endpoint, delivery.lane.source, visitor)
            if delivery.event.id in line:
                before = line[: line.index(delivery.event.id)]
                assert [each for each in before if (endpoint, each) not in self.over] == []

    def ended(self, delivery: Delivery) -> None:
        self.over.add((delivery.lane.machine.id, delivery.event.id))

    # What happens

    @rule(source=st.sampled_from(SOURCES), count=st.integers(1, 6), told=st.booleans())
    def events_come(self, source: SourceUid, count: int, told: bool) -> None:
        self.commit(source, count)
        for worker in self.workers.values() if told else ():
            worker.core.noticed(source)
            worker.follow()

    def commit(self, source: SourceUid, count: int) -> None:
        store = self.world.store.sources[source]
        for _ in range(count):
            self.made += 1
            store.sequence += 1
            message, visitor = MessageId(f"msg_{self.made:05}"), str(self.made % 3)
            body = msgspec.json.encode({"data": {"trigger": {"visitorId": visitor}}})[1:]
            store.events[store.sequence] = StoredEvent(message, str(self.made), 0, 1, b"\2", body)
            reference = Reference(store.sequence, 2, tag_of(message)).text().encode()
            for endpoint in ENDPOINTS:
                store.lane[endpoint].append(reference)
                store.wake(endpoint)
                self.owed.add((endpoint, message))
                self.line_of(endpoint, source, visitor).append(message)

    def worker(self, which: int) -> ToyWorker:
        if which not in self.workers:
            self.born += 1
            self.workers[which] = ToyWorker(self.world, f"worker {self.born}", SOURCES, slots=self.slots)
        return self.workers[which]

    @rule(
        which=st.integers(0, 1), source=st.sampled_from(SOURCES), fate=st.sampled_from(FATES), sends=st.integers(0, 8)
    )
    def a_worker_exchanges(self, which: int, source: SourceUid, fate: str, sends: int) -> None:
        worker = self.worker(which)
        if source in worker.wanted:
            worker.exchange(source, fate=fate)
            worker.send(sends)

    @rule(which=st.integers(0, 1), outcomes=SOME, at=st.integers(0, 8))
    def attempts_end(self, which: int, outcomes: list[str], at: int) -> None:
        worker = self.worker(which)
        for name in outcomes:
            if worker.flying and name in OUTCOMES:
                worker.land(at, OUTCOMES[name])
            elif worker.flying and name != "keep":
                delivery = worker.flying.pop(at % len(worker.flying))
                (worker.core.broke if name == "breaks" else worker.core.untried)(delivery, self.world.now_ms)
                worker.follow()
            at += 1

    @rule(which=st.integers(0, 1), sends=st.integers(0, 8))
    def a_worker_sends(self, which: int, sends: int) -> None:
        self.worker(which).send(sends)

    @rule(which=st.integers(0, 1), rights=st.integers(0, 3), fails=st.booleans())
    def a_worker_asks(self, which: int, rights: int, fails: bool) -> None:
        for endpoint in self.worker(which).ask(rights, fails=fails):
            for number, other in self.workers.items():
                if number != which:
                    other.hears_condition(endpoint)

    @rule(ms=st.sampled_from([1, 50, 1_000, 6_000, 40_000]))
    def time_passes(self, ms: int) -> None:
        self.world.now_ms += ms
        for worker in self.workers.values():
            worker.tick()

    @rule(which=st.integers(0, 1), source=st.sampled_from(SOURCES))
    def a_worker_sweeps(self, which: int, source: SourceUid) -> None:
        self.sweep(self.worker(which), source)

    def sweep(self, worker: ToyWorker, source: SourceUid) -> None:
        if self.world.store.sources[source].sweep(self.world.now_ms) or worker.core.held(source):
            worker.core.noticed(source)
            worker.follow()

    @rule(which=st.integers(0, 1))
    def a_worker_beats(self, which: int) -> None:
        self.worker(which).beats()

    @rule(which=st.integers(0, 1), wakes=st.booleans())
    def a_worker_is_given_up(self, which: int, wakes: bool) -> None:
        """It died, or others took it for dead and it goes on with what it remembers."""
        worker = self.worker(which)
        self.time_passes(SESSION_LIVES_MS)
        for source in SOURCES:
            self.world.store.sources[source].ends(worker.session)
        if not wakes:
            del self.workers[which]

    @precondition(lambda self: self.workers)
    @rule(which=st.integers(0, 1))
    def a_worker_drains(self, which: int) -> None:
        """What it had is handed back, to the last delivery."""
        worker = self.worker(which)
        worker.core.drain(self.world.now_ms)
        worker.follow()
        while worker.flying:
            worker.core.untried(worker.flying.pop(), self.world.now_ms)
            worker.follow()
        for source in SOURCES:
            for _ in range(3):
                worker.exchange(source)
            assert worker.core.held(source) == 0
            assert worker.session not in self.world.store.sources[source].lanes.values()
        del self.workers[which]

    # What operators do

    @rule(endpoint=st.sampled_from(ENDPOINTS), how=st.sampled_from(["on", "off", "unknown"]), told=st.booleans())
    def an_endpoint_is_switched(self, endpoint: EndpointId, how: str, told: bool) -> None:
        known = self.world.endpoints.get(endpoint) or self.unknown[endpoint]
        self.world.endpoints[endpoint] = msgspec.structs.replace(known, disabled=how == "off")
        if how == "unknown":
            self.unknown[endpoint] = self.world.endpoints.pop(endpoint)
        elif how == "on":
            self.may_go_on(endpoint)
        self.tell(told)

    @property
    def unknown(self) -> dict[EndpointId, Endpoint]:
        return self.__dict__.setdefault("_unknown", {})

    def may_go_on(self, endpoint: EndpointId) -> None:
        self.world.store.conditions.pop(endpoint, None)
        for worker in self.workers.values():
            worker.hears_condition(endpoint)
        for source in SOURCES:
            self.world.store.sources[source].unpark(endpoint)

    @rule(
        endpoint=st.sampled_from(ENDPOINTS),
        limit=st.sampled_from([None, 1, 30]),
        most=st.integers(1, 9),
        told=st.booleans(),
    )
    def limits_change(self, endpoint: EndpointId, limit: int | None, most: int, told: bool) -> None:
        if (known := self.world.endpoints.get(endpoint)) is not None:
            self.world.endpoints[endpoint] = msgspec.structs.replace(known, rate_limit=limit, max_in_flight=most)
            self.tell(told)

    @rule(order=st.sampled_from(ORDERS), told=st.booleans())
    def an_order_changes(self, order: dict[str, Any], told: bool) -> None:
        if (known := self.world.endpoints.get(MOVING)) is not None:
            changed = (known.order, known.order_key) != (order["order"], order["order_key"])
            self.world.endpoints[MOVING] = msgspec.structs.replace(
                known, order_version=known.order_version + changed, **order
            )
            self.tell(told)

    def tell(self, told: bool) -> None:
        for worker in self.workers.values() if told else ():
            worker.configure()

    @rule(which=st.integers(0, 1))
    def a_worker_hears(self, which: int) -> None:
        self.worker(which).configure()

    @rule()
    def waiting_is_released(self) -> None:
        for source in SOURCES:
            for endpoint, known in self.world.endpoints.items():
                self.world.store.sources[source].release(endpoint, known.order_version)

    # The store

    @rule()
    def the_store_is_copied(self) -> None:
        self.kept = self.world.store.copy(), set(self.owed), {key: list(line) for key, line in self.orders.items()}

    @precondition(lambda self: self.kept is not None)
    @rule()
    def the_store_goes_back_in_time(self) -> None:
        self.world.store, self.owed, orders = self.kept
        self.orders = defaultdict(list, orders)
        self.kept = None

    # Rest

    @rule(which=st.integers(0, 1))
    def a_worker_comes_to_rest(self, which: int) -> None:
        """While no time passes it does what it wants to do, until it wants nothing: then nothing stands still."""
        worker = self.worker(which)
        worker.configure()
        self.rest(worker)
        others = [other for number, other in self.workers.items() if number != which]
        if not others:
            assert worker.faults(SOURCES) == []

    def rest(self, worker: ToyWorker, *, lands: bool = False) -> None:
        for source in SOURCES:
            # A notice may be lost: this is what a sweep does.
            worker.core.noticed(source)
        worker.follow()
        for _ in range(600):
            worker.ask(3)
            for source in SOURCES:
                if source in worker.wanted:
                    worker.exchange(source)
            worker.send()
            while lands and worker.flying:
                worker.land(0, OUTCOMES["ended"])
                worker.send()
            if all(worker.rests(source) for source in SOURCES):
                return
        raise AssertionError("it never comes to rest")

    def teardown(self) -> None:
        if hasattr(self, "workers"):
            self.everything_arrives()

    def everything_arrives(self) -> None:
        for endpoint in ENDPOINTS:
            known = self.world.endpoints.get(endpoint) or self.unknown[endpoint]
            self.world.endpoints[endpoint] = msgspec.structs.replace(known, disabled=False)
            self.may_go_on(endpoint)
        alive = {self.worker(0).session, *(worker.session for worker in self.workers.values())}
        for source in SOURCES:
            # Of a session that the store has again after it went back in time nobody hears.
            for gone in set(self.world.store.sources[source].lanes.values()) - alive - {"r", "p"}:
                self.world.store.sources[source].ends(gone)
        self.tell(True)
        self.waiting_is_released()
        for _ in range(100 + self.made):
            for worker in self.workers.values():
                self.rest(worker, lands=True)
            if not any(self.world.store.sources[source].places() for source in SOURCES):
                break
            self.world.now_ms += 5_000
            self.waiting_is_released()
            for worker in self.workers.values():
                worker.tick()
                for source in SOURCES:
                    self.sweep(worker, source)
                worker.beats()
        for source in SOURCES:
            assert self.world.store.sources[source].places() == []
        assert self.owed - self.over == set()


@pytest.mark.timeout(120)
def test_whatever_can_be_sent_is_sent() -> None:
    """After whatever happened, in whatever order, everything arrives, and nothing that could go stands still."""
    run_state_machine_as_test(Walk, settings=settings(max_examples=150, stateful_step_count=50, deadline=None))

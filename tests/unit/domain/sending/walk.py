"""A world of two sources, four endpoints and up to two workers without I/O, in which anything may happen next."""

from collections import defaultdict
from typing import Any

import msgspec

from relay.domain.model import ApplicationId, Endpoint, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.outcomes import Failure, Outcome
from relay.domain.references import Reference, tag_of
from relay.domain.requests.model import Batch, RequestShape
from relay.domain.sending.delivery import Delivery
from tests.unit.domain.sending.toy_store import SESSION_LIVES_MS
from tests.unit.domain.sending.toy_worker import ToyWorker, World

SOURCES = [SourceUid("uk"), SourceUid("fr")]
FREE, FIFO, KEYED, MOVING, TOGETHER = (
    EndpointId(f"ep_{name}") for name in ("free", "fifo", "keyed", "moving", "together")
)
ENDPOINTS = [FREE, FIFO, KEYED, MOVING, TOGETHER]
BATCH = Batch(size=4, wait_s=4.0)
ORDERS: list[dict[str, Any]] = [
    {"order": "unordered", "order_key": None},
    {"order": "fifo", "order_key": None},
    {"order": "keyed", "order_key": "visitorId"},
]
OUTCOMES = {
    "ended": Outcome(status=200, duration_ms=3),
    "slow": Outcome(status=200, duration_ms=3000),
    "refused": Outcome(status=404),
    "unread": Outcome(status=400),
    "down": Outcome(error=Failure.CONNECT),
    "busy": Outcome(status=503, retry_after="7"),
    "asks": Outcome(status=429, retry_after="90"),
    "gone": Outcome(status=410),
    "ours": Outcome(error=Failure.LOCAL),
}
FATES = ["works"] * 4 + ["call lost", "answer lost"]
KINDS = [*OUTCOMES, "breaks", "untried", "keep"]


class Walk:
    """What happens, one method each, and what must be true meanwhile and in the end."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.world = World(on_send=self.sends, on_end=self.ended)
        for number, endpoint in enumerate(ENDPOINTS):
            self.world.endpoints[endpoint] = Endpoint(
                id=endpoint, app_id=ApplicationId("app"), url="", max_in_flight=3, **ORDERS[number % 3]
            )
        self.world.endpoints[TOGETHER] = msgspec.structs.replace(
            self.world.endpoints[TOGETHER], **ORDERS[0], request=RequestShape(batch=BATCH)
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
                before = [each for each in line[: line.index(delivery.event.id)] if (endpoint, each) not in self.over]
                assert not before, f"{delivery.event.id} goes to {endpoint} before {before}"

    def ended(self, delivery: Delivery) -> None:
        self.over.add((delivery.lane.machine.id, delivery.event.id))

    # What happens

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

    def a_worker_exchanges(self, which: int, source: SourceUid, fate: str, sends: int) -> None:
        worker = self.worker(which)
        if source in worker.wanted:
            worker.exchange(source, fate=fate)
            worker.send(sends)

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

    def a_worker_sends(self, which: int, sends: int) -> None:
        self.worker(which).send(sends)

    def a_worker_asks(self, which: int, rights: int, fails: bool) -> None:
        for endpoint in self.worker(which).ask(rights, fails=fails):
            for number, other in self.workers.items():
                if number != which:
                    other.hears_condition(endpoint)

    def time_passes(self, ms: int) -> None:
        self.world.now_ms += ms
        for worker in self.workers.values():
            worker.tick()

    def a_worker_sweeps(self, which: int, source: SourceUid) -> None:
        self.sweep(self.worker(which), source)

    def sweep(self, worker: ToyWorker, source: SourceUid) -> None:
        if self.world.store.sources[source].sweep(self.world.now_ms) or worker.core.held(source):
            worker.core.noticed(source)
            worker.follow()

    def a_worker_beats(self, which: int) -> None:
        self.worker(which).beats()

    def a_worker_is_given_up(self, which: int, wakes: bool) -> None:
        """It died, or others took it for dead and it goes on with what it remembers."""
        worker = self.worker(which)
        self.time_passes(SESSION_LIVES_MS)
        for source in SOURCES:
            self.world.store.sources[source].ends(worker.session)
        if not wakes:
            del self.workers[which]

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

    def limits_change(self, endpoint: EndpointId, limit: int | None, most: int, told: bool) -> None:
        if (known := self.world.endpoints.get(endpoint)) is not None:
            self.world.endpoints[endpoint] = msgspec.structs.replace(known, rate_limit=limit, max_in_flight=most)
            self.tell(told)

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

    def a_worker_hears(self, which: int) -> None:
        self.worker(which).configure()

    def waiting_is_released(self) -> None:
        for source in SOURCES:
            for endpoint, known in self.world.endpoints.items():
                self.world.store.sources[source].release(endpoint, known.order_version)

    # The store

    def the_store_is_copied(self) -> None:
        self.kept = self.world.store.copy(), set(self.owed), {key: list(line) for key, line in self.orders.items()}

    def the_store_goes_back_in_time(self) -> None:
        if self.kept is None:
            return
        self.world.store, self.owed, orders = self.kept
        self.orders = defaultdict(list, orders)
        self.kept = None

    # Rest

    def a_worker_comes_to_rest(self, which: int) -> None:
        """While no time passes it does what it wants to do, until it wants nothing: then nothing stands still."""
        worker = self.worker(which)
        worker.configure()
        self.rest(worker)
        others = [other for number, other in self.workers.items() if number != which]
        if not others:
            assert not worker.faults(SOURCES), worker.faults(SOURCES)

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
            left = self.world.store.sources[source].places()
            assert not left, f"it waits for ever: {left}"
        lost = self.owed - self.over
        assert not lost, f"it is lost: {lost}"

"""A core whose inputs a test gives one by one: what the tests of the machine stand on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from relay.domain.breaking import WELL, Condition
from relay.domain.model import ApplicationId, Endpoint, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.outcomes import Failure, Outcome
from relay.domain.rates import Bounds
from relay.domain.references import Reference
from relay.domain.sending.arrivals import Arrival, Claim
from relay.domain.sending.core import Core
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import Announce, Effect, FetchRights, HandIn
from relay.domain.sending.endpoint import EndpointMachine
from relay.domain.sending.lane import Lane

NOW = 1_790_000_000_000
UK, FR = SourceUid("uk"), SourceUid("fr")
A, B = EndpointId("ep_a"), EndpointId("ep_b")
OK = Outcome(status=204, duration_ms=3)
DOWN = Outcome(error=Failure.CONNECT)
REFUSED = Outcome(status=404)
LONG = 10**9

E = TypeVar("E", bound=Effect)


def endpoint(name: EndpointId = A, **fields: Any) -> Endpoint:
    """An endpoint that may have eight callbacks in flight."""
    return Endpoint(id=name, app_id=ApplicationId("app"), url="", **{"max_in_flight": 8, **fields})


def event(number: int, **columns: Any) -> StoredEvent:
    """The event with a number, whose row has these columns."""
    body = msgspec.json.encode({"data": {"trigger": columns}})[1:]
    return StoredEvent(MessageId(f"msg_{number:05}"), str(number), 0, 1, b"\2", body)


def arrival(number: int, *, attempt: int = 1, crashes: int = 0, **columns: Any) -> Arrival:
    """A reference that the store gave, with its event."""
    reference = Reference(number, 2, f"{number:05}", attempt, crashes)
    return Arrival(reference.text().encode(), reference, event(number, **columns))


class Desk:
    """One worker's core, and what it asked for."""

    def __init__(self, *endpoints: Endpoint, slots: int = 64, sources: Iterable[SourceUid] = (UK,)) -> None:
        self.core = Core(session="me", slots=slots, schedule=(5.0, 60.0))
        self.now_ms = NOW
        self.asked: list[Effect] = []
        for source in sources:
            self.core.follow(source)
            self.core.renewed(source, NOW + LONG, NOW)
        for each in endpoints or (endpoint(),):
            self.configure(each)
        for source in sources:
            self.core.collect(source, self.now_ms)
            self.core.claims_answered(source, 0, self.now_ms)
        self.effects()

    def configure(self, known: Endpoint | None, *limits: int, name: EndpointId = A, off: bool = False) -> None:
        """An endpoint is this now; None: `name` is unknown."""
        name = known.id if known is not None else name
        is_off = off or known is None
        bounds = Bounds(tuple((str(limit), limit) for limit in limits))
        self.core.configured(name, known, bounds, is_off=is_off, now_ms=self.now_ms)
        self.core.learnt(name, WELL, self.now_ms)

    def claim(
        self, *arrivals: Arrival, source: SourceUid = UK, name: EndpointId = A, blocked: Mapping[str, int] | None = None
    ) -> Lane:
        """A lane is held from now on."""
        self.core.claimed(source, Claim(name, arrivals, blocked or {}), self.now_ms)
        return self.core._holdings[source].lanes[name]

    def machine(self, name: EndpointId = A) -> EndpointMachine:
        """The machine of an endpoint."""
        return self.core._machines[name]

    def send(self) -> list[Delivery]:
        """Begin whatever may begin."""
        begun = []
        while self.core.turns() and (delivery := self.core.next(self.now_ms)) is not None:
            begun.append(delivery)
        return begun

    def numbers(self) -> list[int]:
        """The same, by the events' numbers."""
        return [delivery.reference.number for delivery in self.send()]

    def land(self, outcome: Outcome, *deliveries: Delivery) -> None:
        """Attempts end."""
        for delivery in deliveries:
            self.core.landed(delivery, *(outcome for _ in delivery.members), now_ms=self.now_ms, jitter=0.5)

    def effects(self) -> list[Effect]:
        """What the core asks for now."""
        effects = self.core.effects()
        self.asked += effects
        return effects

    def of(self, kind: type[E]) -> list[E]:
        """What it asks for now, of one kind."""
        return [each for each in self.effects() if isinstance(each, kind)]

    def fetches(self) -> list[tuple[EndpointId, int]]:
        """The rights that are to be fetched now."""
        return [(each.endpoint, each.wanted.number) for each in self.of(FetchRights)]

    def asked_trials(self) -> list[Delivery]:
        """The deliveries whose going on the wire is to be announced now."""
        return [each.delivery for each in self.of(Announce)]

    def learn(self, name: EndpointId = A, **fields: Any) -> None:
        """The store says what it remembers of an endpoint."""
        self.core.learnt(name, Condition(**fields), self.now_ms)

    def wait(self, ms: int) -> None:
        """Time passes."""
        self.now_ms += ms
        self.core.tick(self.now_ms)

    def collect(self, source: SourceUid = UK) -> dict[EndpointId, HandIn]:
        """What is handed in now, by lane."""
        handed, _ = self.core.collect(source, self.now_ms)
        return {each.endpoint: each for each in handed}

    def answer(self, handed: HandIn, *arrivals: Arrival, state: str = "held", source: SourceUid = UK) -> None:
        """The store has taken that."""
        self.core.answered(source, handed, state=state, arrivals=arrivals, now_ms=self.now_ms)
        self.core.claims_answered(source, 0, self.now_ms)


def many(first: int, last: int, **about: Any) -> Sequence[Arrival]:
    """Arrivals with these numbers."""
    return [arrival(number, **about) for number in range(first, last + 1)]

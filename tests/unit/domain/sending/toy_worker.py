"""A worker without I/O: it does what the drivers of relay.pipeline.dispatch do, over a toy store, step by step."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from relay.domain.breaking import WELL
from relay.domain.model import Endpoint, EndpointId, SourceUid
from relay.domain.outcomes import Outcome
from relay.domain.rates import Bounds
from relay.domain.references import parse_reference
from relay.domain.sending.arrivals import Arrival, Claim
from relay.domain.sending.core import Core
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.effects import Announce, Change, Disable, Effect, Exchange, FetchRights, HandIn, Unpark
from relay.domain.sending.endpoint import EndpointMachine
from relay.domain.sending.lane import Lane
from relay.domain.sending.queues import has_keys_of_an_older_order
from relay.domain.sending.rights import Granted
from relay.domain.sending.states import EndpointState, LaneState
from tests.unit.domain.sending.toy_store import SESSION_LIVES_MS, Given, ToyStore

SCHEDULE = (5.0, 60.0)
PER_LANE = 3


@dataclass
class World:
    """What all workers share: the store, the configuration, and the time."""

    now_ms: int = 1_790_000_000_000
    store: ToyStore = field(default_factory=ToyStore)
    endpoints: dict[EndpointId, Endpoint] = field(default_factory=dict)
    disabled: list[EndpointId] = field(default_factory=list)
    on_send: Callable[[Delivery], None] = lambda _: None
    on_end: Callable[[Delivery], None] = lambda _: None


class ToyWorker:
    """One worker. `knows` is the configuration as far as it has heard of it."""

    def __init__(self, world: World, session: str, sources: list[SourceUid], *, slots: int) -> None:
        self.world = world
        self.session = session
        self.core = Core(session=session, slots=slots, schedule=SCHEDULE)
        self.knows = dict(world.endpoints)
        self.flying: list[Delivery] = []
        self.questions: list[Effect] = []
        self.wanted: set[SourceUid] = set()
        self._turns: dict[SourceUid, int] = defaultdict(int)
        self._before: dict[SourceUid, int] = defaultdict(int)
        self._unanswered: dict[SourceUid, tuple[list[HandIn], int]] = {}
        for source in sources:
            self.core.follow(source)
        self.follow()

    # What the dispatcher does

    def follow(self) -> None:
        """Do what the core asks for."""
        effects = self.core.effects()
        for effect in effects:
            # The loop goes on with what follows from the effects themselves.
            if isinstance(effect, Exchange):
                self.wanted.add(effect.source)
            elif isinstance(effect, Disable):
                self.world.disabled.append(effect.endpoint.id)
            elif isinstance(effect, Unpark):
                self.world.store.sources[effect.source].unpark(effect.endpoint)
                # Who waits for work is told.
                self.core.noticed(effect.source)
                effects += self.core.effects()
            else:
                self.questions.append(effect)

    def send(self, most: int = 1000) -> None:
        """Begin what may begin, as far as the core says that something may."""
        while most and self.core.turns() and (delivery := self.core.next(self.world.now_ms)) is not None:
            for member in delivery.members:
                self.world.on_send(member)
            self.flying.append(delivery)
            self.follow()
            most -= 1
        self.follow()

    def land(self, which: int, outcome: Outcome) -> None:
        """An attempt ends."""
        delivery = self.flying.pop(which % len(self.flying))
        size = len(delivery.members)
        # The last of a batch was not tried after all, now and then.
        outcomes = [None if which % 5 == 4 and 0 < at == size - 1 else _in_batch(outcome, size) for at in range(size)]
        for each in self.core.landed(delivery, *outcomes, now_ms=self.world.now_ms, jitter=0.5):
            if each.verdict.place in ("ended", "dead"):
                self.world.on_end(each.delivery)
        self.follow()

    def tick(self) -> None:
        """The time of an alarm has come, or not yet."""
        if self.core.wake_ms() and self.core.wake_ms() <= self.world.now_ms:
            self.core.tick(self.world.now_ms)
            self.follow()

    def configure(self) -> None:
        """Hear of every change of the configuration."""
        changed = [e for e in self.knows | self.world.endpoints if self.knows.get(e) != self.world.endpoints.get(e)]
        self.knows = dict(self.world.endpoints)
        for endpoint in changed:
            if self.core.is_known(endpoint):
                self._configure(endpoint)
        self.follow()

    def _configure(self, endpoint_id: EndpointId) -> None:
        endpoint = self.knows.get(endpoint_id)
        limits = ((endpoint.id, endpoint.rate_limit),) if endpoint is not None and endpoint.rate_limit else ()
        is_off = endpoint is None or endpoint.disabled
        self.core.configured(endpoint_id, endpoint, Bounds(limits), is_off=is_off, now_ms=self.world.now_ms)

    def hears_condition(self, endpoint: EndpointId) -> None:
        """Another worker changed what the store remembers of an endpoint."""
        if self.core.is_known(endpoint):
            self.core.learnt(endpoint, self.world.store.conditions.get(endpoint, WELL), self.world.now_ms)
            self.follow()

    # What asking does

    def ask(self, rights: int, *, fails: bool = False) -> list[EndpointId]:
        """Ask what is to be asked; gives endpoints whose condition changed. `rights`: how many a store gives."""
        questions, self.questions = self.questions, []
        if fails:
            self.questions = [each for each in questions if not isinstance(each, Announce)]
        changed = []
        for question in questions:
            if isinstance(question, Announce):
                self._announce(question.delivery, fails=fails)
            elif fails:
                continue
            elif isinstance(question, FetchRights):
                known = self.knows.get(question.endpoint)
                if known is not None and known.rate_limit:
                    given = min(rights, question.wanted.number)
                    self.core.may_send(question.endpoint, Granted(given, 0 if given else 100), self.world.now_ms)
            elif isinstance(question, Change):
                condition = self.world.store.change(question, self.session, self.world.now_ms)
                self.core.learnt(question.endpoint, condition, self.world.now_ms)
                changed.append(question.endpoint)
        self.follow()
        return changed

    def _announce(self, delivery: Delivery, *, fails: bool) -> None:
        if fails:
            self.core.untried(delivery, self.world.now_ms)
            return
        lane = delivery.lane
        self.world.store.sources[lane.source].tried.add((self.session, lane.machine.id, delivery.stored))
        self.core.announced(delivery)

    # What an exchange does

    def exchange(self, source: SourceUid, *, fate: str = "works") -> None:
        """One exchange. `fate`: it works, or its call or its answer is lost, or looking up what came of it fails."""
        self.wanted.discard(source)
        if source not in self._unanswered:
            self._turns[source] += 1
            self._unanswered[source] = self.core.collect(source, self.world.now_ms)
        handed, claim = self._unanswered[source]
        if fate == "call lost":
            self.wanted.add(source)
            return
        verdict, ready, given = self.world.store.sources[source].exchange(
            self.session, self._turns[source], self._before[source], handed, claim=claim, per_lane=PER_LANE
        )
        if fate == "answer lost":
            self.wanted.add(source)
        elif verdict == "done":
            self._take_in(source, handed, given)
            self.core.claims_answered(source, ready, self.world.now_ms)
            del self._unanswered[source]
            self._before[source] = self._turns[source]
        else:
            self._recover(source, handed, done=verdict == "again")
            self._before[source] = ready
            if verdict == "astray":
                self._turns[source] = max(self._turns[source], ready) + 1
        if fate == "works":
            self.core.renewed(source, self.world.now_ms + SESSION_LIVES_MS - 1, self.world.now_ms)
        self.follow()

    def _take_in(self, source: SourceUid, handed: list[HandIn], given: list[Given]) -> None:
        answers, claimed = given[: len(handed)], given[len(handed) :]
        for each in claimed:
            self._introduce(each.endpoint)
            self._release(source, each)
        for lane, answer in zip(handed, answers, strict=True):
            arrivals = self._arrivals(source, answer.references)
            self.core.answered(source, lane, state=answer.state, arrivals=arrivals, now_ms=self.world.now_ms)
        for each in claimed:
            claim = Claim(each.endpoint, self._arrivals(source, each.references), each.blocked)
            self.core.claimed(source, claim, self.world.now_ms)

    def _release(self, source: SourceUid, given: Given) -> None:
        """What waits behind keys of an older order goes on, as soon as its lane is claimed."""
        endpoint = self.core._machines[given.endpoint].endpoint
        if endpoint is not None and has_keys_of_an_older_order(given.blocked, endpoint.order_version):
            self.world.store.sources[source].release(given.endpoint, endpoint.order_version)

    def _introduce(self, endpoint: EndpointId) -> None:
        if not self.core.is_known(endpoint):
            self._configure(endpoint)
        self.core.learnt(endpoint, self.world.store.conditions.get(endpoint, WELL), self.world.now_ms)

    def _arrivals(self, source: SourceUid, references: list[bytes]) -> list[Arrival]:
        events, found = self.world.store.sources[source].events, []
        for stored in references:
            reference = parse_reference(stored)
            found.append(Arrival(stored, reference, events.get(reference.number)))
        return found

    def _recover(self, source: SourceUid, handed: list[HandIn], *, done: bool) -> None:
        held = self.world.store.sources[source].held(self.session)
        in_flight = {each.endpoint: each.references for each in held}
        missing = self.core.missing(source, in_flight, () if done else handed)
        claims = []
        for each in held:
            self._introduce(each.endpoint)
            claims.append(Claim(each.endpoint, self._arrivals(source, missing[each.endpoint]), each.blocked))
        self.core.recovered(source, claims, is_astray=not done, now_ms=self.world.now_ms)
        if done:
            del self._unanswered[source]
        self.wanted.add(source)

    def rests(self, source: SourceUid) -> bool:
        """Whether nothing is wanted and no answer is awaited."""
        return source not in self.wanted and source not in self._unanswered and not self.questions

    def beats(self) -> None:
        """Renew its session, as a worker does that holds lanes."""
        self.wanted |= {source for source in self._turns if self.core.held(source)}

    def machines(self) -> list[EndpointMachine]:
        """The machines of its core."""
        return list(self.core._machines.values())

    # What must be true when it has come to rest

    def faults(self, sources: list[SourceUid]) -> list[str]:
        """What stands still for no reason, although there is nothing to wait for."""
        said = []
        if self.core.next(self.world.now_ms) is not None:
            said.append("something could be sent, and turns() says 0")
        for machine in self.machines():
            if machine.state is EndpointState.RESTING and machine.lanes and not self.core.wake_ms():
                said.append(f"{machine.id} rests, and nobody wakes it")
            if machine.state is EndpointState.ASKING and machine.lanes:
                said.append(f"{machine.id} asks, and no question is out")
        for source in sources:
            store = self.world.store.sources[source]
            if store.ready and self.core._holdings[source].claims():
                said.append(f"{store.ready} of {source} are ready, and nobody claims them")
            for endpoint, lane in self.core._holdings[source].lanes.items():
                if store.lanes.get(endpoint) == self.session and _starves(lane) and store.lane[endpoint]:
                    said.append(f"{endpoint} of {source} has nothing to do, and something waits in the store")
        return said


def _in_batch(outcome: Outcome, size: int) -> Outcome:
    return msgspec.structs.replace(outcome, batch_id="batch", batch_size=size) if size > 1 else outcome


def _starves(lane: Lane) -> bool:
    flows = lane.machine.state in (EndpointState.FLOWING, EndpointState.PROBING)
    return flows and lane.state is LaneState.OPEN and not lane.waiting() and not lane.flying

"""A store in a few dictionaries: what exchange.lua, sweep_lanes.lua and change_condition.lua do, without a server."""

from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from relay.domain.breaking import WELL, Condition
from relay.domain.model import EndpointId, StoredEvent
from relay.domain.references import parse_reference
from relay.domain.sending.effects import Change, HandIn

SESSION_LIVES_MS = 10_000
PROBE_LIVES_MS = 25_000


class Given(NamedTuple):
    """What the store says of one lane."""

    endpoint: EndpointId
    state: str
    references: list[bytes]
    blocked: dict[str, int]


def number_of(reference: bytes) -> int:
    return parse_reference(reference).number


@dataclass
class ToySource:
    """One source's part of the store."""

    lanes: dict[EndpointId, str] = field(default_factory=dict)
    ready: list[EndpointId] = field(default_factory=list)
    parked: dict[EndpointId, int] = field(default_factory=dict)
    lane: dict[EndpointId, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    flight: dict[EndpointId, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    due: dict[tuple[EndpointId, bytes], int] = field(default_factory=dict)
    dead: set[tuple[EndpointId, bytes]] = field(default_factory=set)
    blocked: dict[EndpointId, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    waiting: dict[tuple[EndpointId, str], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    turns: dict[str, int] = field(default_factory=dict)
    tried: set[tuple[str, EndpointId, bytes]] = field(default_factory=set)
    sequence: int = 0
    events: dict[int, StoredEvent] = field(default_factory=dict)

    # exchange.lua

    def exchange(
        self, session: str, turn: int, before: int, handed: Sequence[HandIn], *, claim: int, per_lane: int
    ) -> tuple[str, int, list[Given]]:
        last = self.turns.get(session, 0)
        if last == turn or last != before:
            return ("again" if last == turn else "astray"), last, []
        self.turns[session] = turn
        given = [self._hand_in(session, lane) for lane in handed]
        for endpoint in self.ready[:claim]:
            self.lanes[endpoint] = session
            given.append(Given(endpoint, "claimed", self._take(endpoint, per_lane), dict(self.blocked[endpoint])))
        del self.ready[:claim]
        return "done", len(self.ready), given

    def _hand_in(self, session: str, handed: HandIn) -> Given:
        endpoint = handed.endpoint
        if self.lanes.get(endpoint) != session:
            return Given(endpoint, "lost", [], {})
        flight, lane = self.flight[endpoint], self.lane[endpoint]
        for stored in (*handed.ended, *handed.unwanted):
            self._lands(session, endpoint, stored)
        for stored, again, due_ms, key in handed.due:
            if self._lands(session, endpoint, stored):
                self.due[endpoint, again.encode()] = due_ms
                if key:
                    self.blocked[endpoint][key] = number_of(stored)
        for stored, _ in handed.dead:
            if self._lands(session, endpoint, stored):
                self.dead.add((endpoint, stored))
        returned = [again.encode() for stored, again in handed.back if self._lands(session, endpoint, stored)]
        for stored, key in handed.behind:
            if self._lands(session, endpoint, stored):
                (self.waiting[endpoint, key] if key in self.blocked[endpoint] else returned).append(stored)
        if handed.leaving != "stay" and flight:
            self.tried -= {(session, endpoint, stored) for stored in flight}
            returned = sorted([*returned, *flight], key=number_of)
            flight.clear()
        lane[:0] = returned
        for key in handed.freed:
            self._free(endpoint, key)
        if handed.leaving == "stay":
            taken = self._take(endpoint, handed.take)
            return Given(endpoint, "held" if taken or flight else self._let_go(endpoint), taken, {})
        if handed.leaving == "go":
            return Given(endpoint, self._let_go(endpoint), [], {})
        self.lanes[endpoint], self.parked[endpoint] = "p", handed.until_ms
        return Given(endpoint, "parked", [], {})

    def _lands(self, session: str, endpoint: EndpointId, stored: bytes) -> bool:
        there = stored in self.flight[endpoint]
        self.flight[endpoint].discard(stored)
        if there:
            self.tried.discard((session, endpoint, stored))
        return there

    def _free(self, endpoint: EndpointId, key: str) -> None:
        self.blocked[endpoint].pop(key, None)
        self.lane[endpoint][:0] = self.waiting.pop((endpoint, key), [])

    def _take(self, endpoint: EndpointId, most: int) -> list[bytes]:
        taken, self.lane[endpoint] = self.lane[endpoint][:most], self.lane[endpoint][most:]
        self.flight[endpoint] |= set(taken)
        return taken

    def _let_go(self, endpoint: EndpointId) -> str:
        del self.lanes[endpoint]
        return "ready" if self.wake(endpoint) else "idle"

    def wake(self, endpoint: EndpointId) -> bool:
        """Make an idle lane ready, if it has something."""
        if not self.lane[endpoint] or endpoint in self.lanes:
            return False
        self.lanes[endpoint] = "r"
        self.ready.append(endpoint)
        return True

    def held(self, session: str) -> list[Given]:
        """What read_held.lua gives."""
        return [
            Given(endpoint, "held", sorted(self.flight[endpoint], key=number_of), dict(self.blocked[endpoint]))
            for endpoint, owner in self.lanes.items()
            if owner == session
        ]

    # sweep_lanes.lua, unpark_lane.lua, release_waiting.lua

    def sweep(self, now_ms: int) -> bool:
        """Make ready what is due; gives whether there is something to do for anybody."""
        due = sorted((at, key) for key, at in self.due.items() if at <= now_ms)
        for _, (endpoint, reference) in reversed(due):
            del self.due[endpoint, reference]
            self.lane[endpoint].insert(0, reference)
            self.wake(endpoint)
        for endpoint in [endpoint for endpoint, at in self.parked.items() if at <= now_ms]:
            self.unpark(endpoint)
        return bool(due or self.ready)

    def unpark(self, endpoint: EndpointId) -> None:
        """A lane that is put aside may go on."""
        if self.parked.pop(endpoint, None) is not None:
            del self.lanes[endpoint]
            self.wake(endpoint)

    def ends(self, session: str) -> None:
        """A session counts as dead."""
        for endpoint, owner in list(self.lanes.items()):
            if owner == session:
                again = [
                    self._crashed(session, endpoint, stored)
                    for stored in sorted(self.flight.pop(endpoint, ()), key=number_of)
                ]
                self.lane[endpoint][:0] = again
                del self.lanes[endpoint]
                self.wake(endpoint)
        self.turns.pop(session, None)
        self.tried = {entry for entry in self.tried if entry[0] != session}

    def _crashed(self, session: str, endpoint: EndpointId, stored: bytes) -> bytes:
        reference = parse_reference(stored)
        counts = not reference.crashes or (session, endpoint, stored) in self.tried
        # Nothing becomes poison here: whatever is committed arrives in the end.
        return reference._replace(crashes=min(4, reference.crashes + counts)).text().encode()

    def release(self, endpoint: EndpointId, order_version: int) -> None:
        """What waits behind keys of another order goes on."""
        for key in list(self.blocked[endpoint]):
            if not key.startswith(f"{order_version}."):
                self._free(endpoint, key)
        self.wake(endpoint)

    def places(self) -> list[tuple[EndpointId, bytes]]:
        """Everything that has not ended."""
        found = [(e, stored) for group in (self.lane, self.flight) for e, some in group.items() for stored in some]
        return [*found, *self.due, *((e, stored) for (e, _), some in self.waiting.items() for stored in some)]


class ToyStore:
    """The sources, and the conditions of all endpoints."""

    def __init__(self) -> None:
        self.sources: dict[str, ToySource] = defaultdict(ToySource)
        self.conditions: dict[EndpointId, Condition] = {}

    def copy(self) -> "ToyStore":
        """The store as it is now."""
        return deepcopy(self)

    def change(self, change: Change, session: str, now_ms: int) -> Condition:
        """What change_condition.lua does."""
        replace = msgspec.structs.replace
        known = self.conditions.get(change.endpoint, WELL)
        if change.verb == "failing":
            since = known.failing_since_ms
            known = replace(known, failing_since_ms=min(since, change.until_ms) if since else change.until_ms)
        elif change.verb == "open":
            if known.opens <= change.opens:
                since, until_ms = known.failing_since_ms or now_ms, max(known.until_ms, change.until_ms)
                known = replace(known, opens=change.opens + 1, until_ms=until_ms, failing_since_ms=since)
            if known.prober == session:
                known = replace(known, prober="", probe_until_ms=0)
        elif change.verb == "rest":
            known = replace(known, asked_ms=max(known.asked_ms, change.until_ms))
        elif change.verb == "probe":
            free = known.probe_until_ms <= now_ms or known.prober == session
            if known.opens and known.until_ms <= now_ms and free:
                known = replace(known, prober=session, probe_until_ms=now_ms + PROBE_LIVES_MS)
        else:
            known = Condition(asked_ms=known.asked_ms)
        if known.asked_ms <= now_ms:
            known = replace(known, asked_ms=0)
        self.conditions[change.endpoint] = known
        return known

"""The lanes of one source that this worker holds, and what of them is to be handed in."""

from collections.abc import Iterable, Mapping, Sequence

from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import number_of
from relay.domain.sending.effects import Exchange, HandIn
from relay.domain.sending.lane import Lane
from relay.domain.sending.states import LaneState

MOST_LANES = 1024
"""Lanes of one source that a worker holds at once."""
LANES_AT_ONCE = 256
"""Lanes that one exchange claims at most."""


class Holding:
    """Held lanes by endpoint. `wanted` has an exchange that was not asked for yet."""

    def __init__(self, source: SourceUid) -> None:
        self.source = source
        self.lanes: dict[EndpointId, Lane] = {}
        self.lease_ms = 0
        """Until then nobody can have taken a lane from this worker."""
        self.wanted: Exchange | None = None
        self._marked: dict[Lane, None] = {}
        """Lanes with something to hand in, or that could take more."""
        self._looks = True
        """There may be new work anywhere in the source."""
        self._others_wait = False
        self._asked: Exchange | None = None
        """The exchange that was asked for, and is not made yet."""

    def mark(self, lane: Lane) -> None:
        """Note that a lane may have something to hand in, or could take more."""
        if lane.state is LaneState.GONE or lane.state is LaneState.LEAVING:
            return
        if lane.has_work() or lane.wants_more():
            self._marked[lane] = None
            self._ask(urgent=lane.is_short())

    def let_go(self) -> list[Lane]:
        """Have all lanes leave as soon as nothing of them is in flight. Gives them."""
        for lane in self.lanes.values():
            lane.leaves = True
        return list(self.lanes.values())

    def look(self) -> None:
        """Note that there may be new work somewhere in the source."""
        self._looks = True
        self._ask(urgent=True)

    def _ask(self, *, urgent: bool) -> None:
        if self._asked is None or (urgent and not self._asked.urgent):
            self._asked = self.wanted = Exchange(self.source, urgent)

    def asked(self) -> Exchange | None:
        """The exchange that is wanted, once."""
        wanted, self.wanted = self.wanted, None
        return wanted

    def collect(self, *, most_ahead: int, now_ms: int) -> list[HandIn]:
        """What is to be handed in now."""
        self._asked = self.wanted = None
        if self._looks:
            self._looks = False
            self._marked.update((lane, None) for lane in self.lanes.values() if lane.is_low())
        marked, self._marked = self._marked, {}
        if self._others_wait and len(self.lanes) >= MOST_LANES:
            # One that is let go stands at the end of those that are ready, and those that waited longer get their turn.
            for lane in marked:
                if not lane.waiting():
                    lane.leaves = True
                    lane.settle(now_ms, is_held_back=False)
        return [lane.collect(most_ahead=most_ahead, now_ms=now_ms) for lane in marked if self._holds(lane)]

    def give_away(self) -> Lane | None:
        """Let go of the lane that keeps this worker busiest, of those that another one could go on with at once."""
        able = [lane for lane in self._marked if self._holds(lane) and lane.may_change_hands()]
        if not able:
            return None
        lane = max(able, key=lambda lane: len(lane.results.ended))
        lane.leaves = True
        return lane

    def claims(self) -> int:
        """How many more lanes to claim."""
        return max(0, min(LANES_AT_ONCE, MOST_LANES - len(self.lanes)))

    def exchanged(self, ready: int) -> None:
        """An exchange is over; so many lanes are still ready in the store."""
        self._others_wait = ready > 0
        # A call that was made again did not include requests that were made in between.
        self._asked = None
        if self._looks or (ready and self.claims()):
            self.look()
        elif self._marked:
            self._ask(urgent=any(lane.is_short() for lane in self._marked))

    def missing(
        self, held: Mapping[EndpointId, Sequence[bytes]], pending: Iterable[HandIn]
    ) -> dict[EndpointId, list[bytes]]:
        """Of what the store says is in flight here: what this worker does not know of, by lane."""
        known = {handed.endpoint: handed.references() for handed in pending}
        unknown = {}
        for endpoint, references in held.items():
            lane = self.lanes.get(endpoint)
            mine = (lane.known() if lane else set()) | known.get(endpoint, set())
            missing = [reference for reference in references if reference not in mine]
            unknown[endpoint] = sorted(missing, key=lambda reference: number_of(reference) or 0)
        return unknown

    def _holds(self, lane: Lane) -> bool:
        return self.lanes.get(lane.machine.id) is lane and lane.state is not LaneState.LEAVING

"""Replays: which stored events are sent to an endpoint again, how many at a time, and what became of the request."""

from collections.abc import Sequence
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from relay.domain.books import State
from relay.domain.envelope import type_names
from relay.domain.model import ApplicationId, Endpoint, EndpointId, StoredEvent
from relay.domain.references import Reference, resent

Chosen = Literal["delivered", "dead", "skipped", "never"]
Failed = Literal["transformation", "no_match"]
"""Dead deliveries that a change of the endpoint's expressions may cure, by the reason with which they are listed."""
Listed = Literal[Failed, "schedule_used_up", "verdict_rule", "poison"]
"""Reasons that only the lists of undelivered deliveries know. What they no longer list is not chosen by them."""
Reason = Literal[Listed, "backlog_full", "backlog_too_old"]
"""Reasons by which dead deliveries can be chosen. Those of a dropped backlog are in the books."""
Phase = Literal["running", "finished", "failed", "cancelled"]
Kind = Literal["endpoint.recover", "endpoint.replay", "endpoint.bulk-replay"]

STATES: dict[Chosen | Reason, frozenset[State]] = {
    "delivered": frozenset({State.CONFIRMED}),
    "dead": frozenset({State.DEAD, State.DROPPED_FULL, State.DROPPED_OLD, State.FORGOTTEN}),
    "skipped": frozenset({State.UNWANTED}),
    "never": frozenset({State.NOT_OWED}),
    **dict.fromkeys(get_args(Listed), frozenset({State.DEAD, State.FORGOTTEN})),
    "backlog_full": frozenset({State.DROPPED_FULL}),
    "backlog_too_old": frozenset({State.DROPPED_OLD}),
}
"""What the books say of the deliveries that can be chosen. Deliveries that wait are never chosen."""
CHECKED_AGAIN = STATES["skipped"] | STATES["never"]
"""The endpoint's filter did not want these, or was not asked, so it is asked before they are sent."""
WAITING_MOST = 500
"""Replays of an endpoint that wait in its list at once: their references take memory of the server."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events are chosen. Every condition must hold."""

    states: tuple[Chosen | Reason, ...]
    """What became of the deliveries, or the reasons of dead ones."""
    since_ms: int = 0
    """Stored at this time or later."""
    until_ms: int | None = None
    """Stored before this time."""
    after_row_id: int = 0
    until_row_id: int | None = None
    types: tuple[str, ...] = ()
    """Events of any of these types; none: of all types."""

    @property
    def listed(self) -> frozenset[str]:
        """The reasons among the states that only the lists of undelivered deliveries know."""
        return frozenset(self.states) & frozenset(get_args(Listed))

    @property
    def booked(self) -> tuple[Chosen | Reason, ...]:
        """The states for which the books alone say which deliveries are chosen."""
        return tuple(state for state in self.states if state not in self.listed)


class Replay(Struct, frozen=True, kw_only=True):
    """The part of a task that is about one source: what was asked for, and how far it has come."""

    id: str
    kind: Kind
    application: ApplicationId
    endpoint: EndpointId
    wanted: Wanted
    end: int
    """The number of the newest event when it was asked for. Later events are not chosen."""
    created_ms: int
    updated_ms: int
    rate: int | None = None
    """Deliveries per second at most; None: as fast as the lane takes them."""
    dry_run: bool = False
    """Only count."""
    at: int = 0
    """The number of the next event to look at."""
    paced_ms: int = 0
    """Up to when the rate is used up."""
    phase: Phase = "running"
    chosen: int = 0
    too_old: int = 0
    """Deliveries that would be chosen if the relay still had their events: the upstream is read again for them."""
    gone_first: int = 0
    """The lowest number of an event that can be one of them; 0: there is none."""
    gone_last: int = 0
    """The highest one."""
    backfills: tuple[str, ...] = ()
    """Those that read rows again, in the order in which they began."""
    error: str | None = None


def wants(wanted: Wanted, endpoint: Endpoint, event: StoredEvent, state: State) -> bool:
    """Whether an event is chosen, by what the books say of its delivery to the endpoint."""
    if not has_state(wanted, state):
        return False
    if event.stored_at_ms < wanted.since_ms or (wanted.until_ms is not None and event.stored_at_ms >= wanted.until_ms):
        return False
    row = int(event.row_id) if event.row_id.isdigit() else 0  # What was posted has no row.
    if wanted.until_row_id is not None and not 0 < row <= wanted.until_row_id:
        return False
    if wanted.after_row_id and row <= wanted.after_row_id:
        return False
    names = set(type_names(event))
    if wanted.types and not names & set(wanted.types):
        return False
    subscribed = endpoint.event_types
    return state not in CHECKED_AGAIN or subscribed is None or bool(names & set(subscribed))


def has_state(wanted: Wanted, state: State) -> bool:
    """Whether a delivery of a state can be chosen."""
    return any(state in STATES[each] for each in wanted.states)


def is_booked(wanted: Wanted, state: State) -> bool:
    """Whether a delivery of a state can be chosen by what the books say, without the lists of undelivered ones."""
    return any(state in STATES[each] for each in wanted.booked)


def is_within(wanted: Wanted, *, oldest_ms: int, newest_ms: int) -> bool:
    """Whether events of a block that was stored in this time can be chosen, as far as their times tell."""
    return newest_ms >= wanted.since_ms and (wanted.until_ms is None or oldest_ms < wanted.until_ms)


def short_of(replay: Replay, gone: Sequence[tuple[int, State]]) -> Replay:
    """A replay after a look at numbers (ascending) that have no event any more, with what the books say of them."""
    found = [each for each in gone if is_booked(replay.wanted, each[1])]
    if not found:
        return replay
    owed = sum(state is not State.NOT_OWED for _, state in found)
    first = replay.gone_first or found[0][0]
    return replace(replay, too_old=replay.too_old + owed, gone_first=first, gone_last=found[-1][0])


def delivery(number: int, endpoint: Endpoint, event: StoredEvent, state: State) -> Reference:
    """The delivery of a chosen event."""
    reference = resent(number, event, endpoint.event_types)
    return reference._replace(unchecked=int(state in CHECKED_AGAIN))


def allowance(replay: Replay, *, waiting: int, now_ms: int) -> int:
    """How many deliveries can be put into the list now, where `waiting` are in it already.

    A rate that was not used is kept for a second at most.
    """
    room = max(0, WAITING_MOST - waiting)
    if replay.rate is None:
        return room
    return min(room, replay.rate * min(1000, max(0, now_ms - replay.paced_ms)) // 1000)


def paced(replay: Replay, used: int, *, now_ms: int) -> int:
    """Up to when the rate is used up after `used` further deliveries."""
    if replay.rate is None:
        return now_ms
    return max(replay.paced_ms, now_ms - 1000) + -(-used * 1000 // replay.rate)

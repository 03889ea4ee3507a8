"""When an event may be sent to an endpoint that asked for a delay, and which revisions of a row need not be sent.

An event is held until it is as old as the endpoint's delay. An endpoint with `newest_only` gets, of several revisions
of a row that wait for it, only the newest one. An older one waits until a newer one was confirmed, and ends then. If no
newer one waits any more, because it was given up or not wanted, the older one is sent. A row that changes for ever is
sent all the same: when its oldest revision has waited for MOST_DELAYS delays, the newest that is old enough goes out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from relay.domain.books import State
from relay.domain.model import Endpoint, StoredEvent
from relay.domain.references import Reference

MOST_DELAYS = 4
REVIEWS_OF_A_DELAY = 4
"""How often in a delay it is looked at again whether an older revision has to be sent."""
SOONEST_REVIEW_MS = 1_000
MOST_REVISIONS = 64
"""Older ones of a row are not looked at."""
NO_NUMBER = 0


class Newer(NamedTuple):
    """What the books say of a row's other revisions."""

    confirmed: int = NO_NUMBER
    """The number of the newest revision that the receiver has confirmed, of those after the one in question."""
    waiting: tuple[int, ...] = ()
    """Those after it that have not ended."""
    before: tuple[int, ...] = ()
    """Those before it that have not ended, and will not end because of one that was confirmed."""


def held_until_ms(endpoint: Endpoint, reference: Reference, event: StoredEvent, now_ms: int) -> int:
    """Until when an event is held; 0: it is old enough, was held before, was tried, or is sent by hand.

    Where order counts, each event is held once, also one that is old enough: those before it may be held still.
    """
    if not endpoint.delay_s or reference.attempt > 1 or reference.held or reference.by_hand:
        return 0
    until_ms = event.stored_at_ms + round(endpoint.delay_s * 1000)
    return until_ms if until_ms > now_ms or endpoint.order != "unordered" else 0


def is_settled(endpoint: Endpoint, reference: Reference, event: StoredEvent) -> bool:
    """Whether other revisions of the row do not matter."""
    return not (endpoint.newest_only and endpoint.delay_s) or bool(reference.by_hand) or event.post is not None


def newer_of(number: int, states: Mapping[int, State]) -> Newer:
    """What matters of the revisions of a row, by the numbers of their events, for the one with a number."""
    confirmed = max((each for each, state in states.items() if state is State.CONFIRMED), default=NO_NUMBER)
    waiting = sorted(each for each, state in states.items() if state is State.WAITING and each != number)
    return Newer(
        confirmed if confirmed > number else NO_NUMBER,
        tuple(each for each in waiting if each > number),
        tuple(each for each in waiting if confirmed < each < number),
    )


def review_ms(
    endpoint: Endpoint,
    reference: Reference,
    event: StoredEvent,
    newer: Newer,
    stored_ms: Mapping[int, int],
    now_ms: int,
) -> int:
    """Until when an event waits for a newer revision of its row; 0: it is sent now.

    `stored_ms`: when the other revisions were stored that have not ended, as far as they can be read.
    """
    delay_ms = round(endpoint.delay_s * 1000)
    if not newer.waiting or reference.attempt > 1:
        # One that was tried may block its key, so it must not wait for one that waits behind it.
        return 0
    oldest_ms = min([event.stored_at_ms, *(stored_ms.get(each, now_ms) for each in newer.before)])
    a_newer_one_is_old_enough = any(stored_ms.get(each, now_ms) + delay_ms <= now_ms for each in newer.waiting)
    if now_ms - oldest_ms >= MOST_DELAYS * delay_ms and not a_newer_one_is_old_enough:
        return 0
    return now_ms + max(SOONEST_REVIEW_MS, delay_ms // REVIEWS_OF_A_DELAY)

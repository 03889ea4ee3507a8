"""When an event may be sent to an endpoint with a delay, and what a newer revision of its row means."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.books import State
from relay.domain.model import ApplicationId, Endpoint, EndpointId, MessageId, StoredEvent
from relay.domain.references import Reference
from relay.domain.settling import MOST_DELAYS, Newer, held_until_ms, is_settled, newer_of, review_ms

DELAY_MS = 100_000


def endpoint(*, newest_only: bool = True, order: str = "unordered") -> Endpoint:
    return Endpoint(
        id=EndpointId("ep_a"), app_id=ApplicationId("app"), url="", delay_s=DELAY_MS / 1000,
        newest_only=newest_only, order=order,  # type: ignore[arg-type]
    )  # fmt: skip


def event(stored_ms: int = 0) -> StoredEvent:
    return StoredEvent(MessageId("msg_aaaaa"), "1", stored_ms, 1, b"\2", b"")


NEW = Reference(5, 2, "aaaaa")


def test_an_event_is_held_until_it_is_old_enough() -> None:
    """Not if it was held before, was tried, or is sent by hand. Where order counts it is held once in any case."""
    assert held_until_ms(endpoint(), NEW, event(7), 8) == 7 + DELAY_MS
    assert held_until_ms(endpoint(), NEW, event(7), 7 + DELAY_MS) == 0
    assert held_until_ms(endpoint(order="fifo"), NEW, event(7), 10**9) == 7 + DELAY_MS
    for known in (NEW._replace(held=1), NEW._replace(attempt=2), NEW._replace(by_hand=1)):
        assert held_until_ms(endpoint(order="fifo"), known, event(7), 8) == 0
    assert held_until_ms(endpoint(), NEW._replace(crashes=1), event(7), 8) == 7 + DELAY_MS


def test_revisions_matter_only_to_those_who_want_the_newest() -> None:
    """What is sent by hand is sent, whatever there is besides."""
    assert is_settled(endpoint(newest_only=False), NEW, event())
    assert is_settled(endpoint(), NEW._replace(by_hand=1), event())
    assert not is_settled(endpoint(), NEW, event())


def test_only_deliveries_that_end_well_or_have_not_ended_count() -> None:
    """A newer revision that is dead, was not wanted or was dropped leaves the older one to be sent."""
    ended = {
        1: State.WAITING,
        2: State.CONFIRMED,
        3: State.WAITING,
        6: State.DEAD,
        7: State.UNWANTED,
        8: State.DROPPED_OLD,
    }
    assert newer_of(5, ended) == Newer(0, (), (3,))
    assert newer_of(5, ended | {10: State.WAITING}) == Newer(0, (10,), (3,))
    assert newer_of(5, ended | {10: State.CONFIRMED}).confirmed == 10


AGES = st.lists(st.integers(0, 20 * DELAY_MS), min_size=1, max_size=8, unique=True)


@given(AGES.map(lambda ages: sorted(ages, reverse=True)))
def test_one_of_the_revisions_that_wait_is_sent_in_the_end(ages: list[int]) -> None:
    """Never an older one before a newer one that may go; and none that is too young; and one when the time is over."""
    now_ms = 10**9
    stored = {number: now_ms - age for number, age in enumerate(ages, start=1)}
    sent = []
    for number, stored_ms in stored.items():
        others = dict.fromkeys(stored, State.WAITING)
        newer = newer_of(number, others)
        until_ms = review_ms(endpoint(), NEW._replace(number=number, held=1), event(stored_ms), newer, stored, now_ms)
        if now_ms - stored_ms >= DELAY_MS and not until_ms:
            sent.append(number)
        assert until_ms <= now_ms + DELAY_MS // 4
    old_enough = [number for number, stored_ms in stored.items() if now_ms - stored_ms >= DELAY_MS]
    assert len(sent) <= 1
    assert sent in ([], old_enough[-1:])
    if old_enough and (len(stored) in old_enough or max(ages) >= MOST_DELAYS * DELAY_MS):
        assert sent


def test_one_that_was_tried_waits_for_no_other() -> None:
    """It may block its key, behind which the newer one waits."""
    assert review_ms(endpoint(), NEW._replace(attempt=2), event(), Newer(0, (9,), ()), {9: 0}, DELAY_MS) == 0

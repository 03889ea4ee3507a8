"""The window of callbacks in flight: always within its bounds, whatever the receiver does."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.windows import FIRST, SMALLEST, Window

LEARNT = st.lists(st.one_of(st.none(), st.floats(0, 60_000)), max_size=300)
"""None: a failure; else the ms that a success took."""


@given(st.integers(1, 1000), LEARNT)
def test_it_stays_within_its_bounds(most: int, learnt: list[float | None]) -> None:
    """At least one callback may go out and never more than the endpoint's own maximum."""
    window = Window(most)
    for duration_ms in learnt:
        if duration_ms is None:
            window.failed()
        else:
            window.succeeded(duration_ms)
        assert SMALLEST <= window.size <= most


@given(st.integers(1, 1000))
def test_a_quick_receiver_gets_all(most: int) -> None:
    """A receiver that answers quickly has its maximum in flight after as many answers."""
    window = Window(most)
    for _ in range(most):
        window.succeeded(3.0)
    assert window.size == most


def test_it_starts_small() -> None:
    """Nobody knows yet what the receiver can bear."""
    assert Window(64).size == FIRST
    assert Window(2).size == 2


def test_a_failure_halves_it_and_ends_the_quick_start() -> None:
    """After trouble the window grows by one a round, no longer by one an answer."""
    window = Window(64)
    for _ in range(24):
        window.succeeded(3.0)
    window.failed()
    assert window.size == 16
    for _ in range(16):
        window.succeeded(3.0)
    assert 16.5 < window.size <= 17


def test_slower_answers_shrink_it() -> None:
    """Answers that take far longer than the quickest mean that requests queue up: fewer go out."""
    window = Window(64)
    for _ in range(56):
        window.succeeded(3.0)
    for _ in range(20):
        window.succeeded(500.0)
    assert window.size < 64


def test_a_receiver_that_is_slower_for_good_is_not_starved() -> None:
    """The baseline follows, so that a receiver that became slower gets its window back."""
    window = Window(64)
    window.succeeded(3.0)
    for _ in range(5_000):
        window.succeeded(500.0)
    assert window.size == 64

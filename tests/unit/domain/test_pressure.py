"""What a server's use of its memory, and the length of the backlog, ask for."""

import pytest

from relay.domain.pressure import excess, holds_back


@pytest.mark.parametrize(("used", "limit", "expected"), [(90, 100, 15), (75, 100, 0), (10, 100, 0), (90, 0, 0)])
def test_what_is_beyond_the_share_is_shed(used: int, limit: int, expected: int) -> None:
    """No more than that; and nothing where there is no limit."""
    assert excess(used, limit, shed=0.75, resume=0.7, is_full=False) == expected


@pytest.mark.parametrize(("shed", "expected"), [(0.75, 14), (0.5, 32)])
def test_history_does_not_keep_sources_from_being_polled(shed: float, expected: int) -> None:
    """While polling waits for memory, history is shed until it can continue, and further if it is anyway."""
    assert excess(82, 100, shed=shed, resume=0.7, is_full=True) == expected


@pytest.mark.parametrize(
    ("used", "held", "expected"),
    [(0.79, False, False), (0.8, False, True), (0.79, True, True), (0.7, True, True), (0.69, True, False)],
)
def test_polling_stops_at_a_share_and_continues_lower(used: float, held: bool, expected: bool) -> None:
    """It does not stop and start each second."""
    assert holds_back(used, stop=0.8, resume=0.7, held=held) == expected

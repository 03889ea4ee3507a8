"""What a server's use of its memory asks for."""

import pytest

from relay.domain.pressure import excess, is_full


@pytest.mark.parametrize(("used", "limit", "expected"), [(90, 100, 15), (75, 100, 0), (10, 100, 0), (90, 0, 0)])
def test_what_is_beyond_the_share_is_shed(used: int, limit: int, expected: int) -> None:
    """No more than that; and nothing where there is no limit."""
    assert excess(used, limit, 0.75) == expected


@pytest.mark.parametrize(
    ("used", "was_full", "expected"), [(84, False, False), (85, False, True), (84, True, True), (79, True, False)]
)
def test_polling_stops_at_a_share_and_goes_on_lower(used: int, was_full: bool, expected: bool) -> None:
    """It does not stop and start each second; a server without a limit is never full."""
    assert is_full(used, 100, 0.85, was_full=was_full) == expected
    assert not is_full(used, 0, 0.85, was_full=was_full)

"""Clocks that differ are said to differ, and by how much; what a request took is no difference."""

import pytest

from relay.cli.diagnosing.clocks import redis_clock, upstream_clock
from relay.domain.server_time import OFF_AFTER_MS

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("server", "took", "state"),
    [
        (0, 0, "well"),
        (OFF_AFTER_MS + 1, 0, "failed"),
        (-OFF_AFTER_MS - 1, 0, "failed"),
        (OFF_AFTER_MS + 1, 4000, "well"),
    ],
)
def test_the_clock_of_redis(server: int, took: int, state: str) -> None:
    """A slow request makes nobody's clock wrong."""
    found = redis_clock(NOW + server, NOW - took // 2, NOW + took // 2)
    assert (found.state, bool(found.do)) == (state, state == "failed")
    if server > 0 and state == "failed":
        assert "behind that of Redis" in found.text


def test_the_clock_of_the_upstream() -> None:
    """By its Date header, which has whole seconds, and may be that of a proxy."""
    date = "Mon, 21 Sep 2026 13:33:20 GMT"
    at = 1_789_997_600_000
    assert upstream_clock("x", date, at + 20_000) is None
    assert upstream_clock("x", "not a date", at) is None
    found = upstream_clock("api.example", date, at + 90_000)
    assert found is not None
    assert "90 s ahead of that of api.example" in found.text
    assert "Redis" not in found.do
    assert "If it is right, the clock of api.example, or of a proxy before it, is wrong" in found.do

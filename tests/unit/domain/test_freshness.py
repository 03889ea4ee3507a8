"""Whether a route keeps up, and how many rows it brings."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.freshness import counted, freshness, rows_per_minute
from relay.domain.route_state import RouteState

NOW = 1_790_000_000_000


def route(
    *, caught_up_s: float | None = None, short_s: float | None = None, moved_s: float | None = None, **fields: int
) -> RouteState:
    """A route that had an empty page, and one that was not full, and whose cursor moved, each so long ago."""
    caught_up_ms, short_ms, moved_ms = (
        None if ago_s is None else NOW - round(ago_s * 1000) for ago_s in (caught_up_s, short_s, moved_s)
    )
    state = RouteState(route="all", **{"cursor": 7, **fields}, caught_up_at_ms=caught_up_ms)
    return msgspec.structs.replace(state, short_at_ms=short_ms, moved_at_ms=moved_ms)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (route(caught_up_s=89, moved_s=10_000), "fresh"),
        (route(caught_up_s=91, moved_s=89), "lagging"),
        (route(caught_up_s=91, moved_s=91), "stalled"),
        (route(caught_up_s=-3600), "fresh"),
        (route(short_s=89), "fresh"),
        (route(short_s=91, moved_s=10), "lagging"),
        (route(), "stalled"),
        (route(paused=1), "paused"),
        (RouteState(route="all"), "new"),
    ],
)
def test_a_route_polled_each_minute(state: RouteState, found: str) -> None:
    """It is late after one and a half intervals, so that an alarm comes within two; a clock set back is no alarm."""
    assert freshness(state, poll_s=60, is_paused=False, now_ms=NOW) == found


def test_short_intervals_have_ten_seconds() -> None:
    """A route that is polled ten times a second is not late after a slow answer."""
    assert freshness(route(caught_up_s=9.9), poll_s=0.1, is_paused=False, now_ms=NOW) == "fresh"
    assert freshness(route(caught_up_s=10.1), poll_s=0.1, is_paused=False, now_ms=NOW) == "stalled"


def test_a_paused_source_pauses_its_routes() -> None:
    """Nobody is to be woken for it."""
    assert freshness(route(), poll_s=60, is_paused=True, now_ms=NOW) == "paused"


@given(per_poll=st.integers(0, 500), interval_ms=st.sampled_from([1_000, 5_000, 20_000]))
def test_a_steady_rate_is_what_it_is(per_poll: int, interval_ms: int) -> None:
    """Within the rows of one page, after some minutes; and it fades when nothing comes any more."""
    state, at_ms = RouteState(route="all"), NOW
    for _ in range(600_000 // interval_ms):
        at_ms += interval_ms
        count = counted(state, per_poll, now_ms=at_ms)
        state = RouteState(route="all", rows_counted=count, last_poll_at_ms=at_ms)
    steady = per_poll * 60_000 / interval_ms
    assert abs(rows_per_minute(state, now_ms=at_ms) - steady) <= per_poll + 0.01 * steady
    assert rows_per_minute(state, now_ms=at_ms + 600_000) < 0.01 + steady * 0.001

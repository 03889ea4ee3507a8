"""A row whose rowId is implausibly far ahead: it ends no route, is shown, and is sent once others come beside it."""

import asyncio
from typing import Any

import pytest

from relay.domain.plausibility import ENOUGH, FAR_AHEAD
from relay.store import keys
from relay.store.rows import Rows
from tests.fakes.upstream import make_row
from tests.integration.pipeline.rig import UK, Rig, catch_up, slice_of, until
from tests.patience import PATIENCE_S

MOST = 2**63 - 1
NOW = 141_248_745


def rows(*row_ids: int, **columns: Any) -> list[dict[str, Any]]:
    return [make_row(row_id, **columns) for row_id in row_ids]


async def set_aside(rig: Rig) -> dict[str, str]:
    return {line["rowId"]: line["reason"] for line in await rig.routes.quarantined(UK, 1000)}


@pytest.mark.parametrize("far", [[MOST], [MOST, MOST - 1], [2**53 + 1], [10**10, 10**15, MOST]], ids=repr)
async def test_a_row_far_ahead_does_not_end_its_route(rig: Rig, far: list[int]) -> None:
    """It is set aside and shown, the cursor stays with the others, and what comes later is polled as ever."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(NOW, NOW + 1, NOW + 5_000_000, *far))
    polling = rig.poller()
    await catch_up(rig, polling)
    expected = [NOW, NOW + 1, NOW + 5_000_000]
    for later in range(1, 4):
        assert await rig.row_ids(endpoint) == expected
        state = await rig.state()
        assert (state.cursor, state.state, state.failures) == (expected[-1], "polling", 0)
        assert state.caught_up_at_ms == rig.clock.at_ms
        assert FAR_AHEAD in (state.last_error or "")
        assert await set_aside(rig) == {str(row_id): FAR_AHEAD for row_id in far}
        expected.append(NOW + 5_000_000 + later)
        rig.upstream.show(make_row(expected[-1]))
        rig.clock.advance(11)
        await catch_up(rig, polling)
    assert await rig.routes.quarantined_total(UK) == len(far)


async def test_a_row_that_is_held_is_told_of_once(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """Each poll sees it again: the log says so the first time, and when others come."""
    await rig.source()
    rig.upstream.show(*rows(NOW, MOST))
    polling = rig.poller()
    for _ in range(4):
        await catch_up(rig, polling)
        rig.clock.advance(11)
    assert capsys.readouterr().out.count("lines_set_aside") == 1


async def test_a_sequence_that_did_jump_loses_no_row(rig: Rig) -> None:
    """Further rows confirm the first: all become events, in their order, and none is shown as set aside any more."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(NOW, 10**12))
    polling = rig.poller()
    await catch_up(rig, polling)
    for n in range(1, 4):
        rig.upstream.show(make_row(10**12 + n))
        rig.clock.advance(11)
        await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [NOW, *range(10**12, 10**12 + 4)]
    assert await set_aside(rig) == {}
    state = await rig.state()
    assert (state.cursor, state.held_from, state.last_error) == (10**12 + 3, None, None)


async def test_a_small_page_full_of_rows_far_ahead_ends_no_route(rig: Rig) -> None:
    """A few false rows next to each other fill a page of ten: they are held like one."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    far = [10**12 + n for n in range(12)]
    rig.upstream.show(*rows(NOW, *far, *range(MOST - 12, MOST)))
    polling = rig.poller()
    for later in range(1, 4):
        await catch_up(rig, polling)
        rig.upstream.show(make_row(NOW + later))
        rig.clock.advance(11)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert (await rig.state()).cursor == NOW + 3


async def test_a_page_full_of_rows_far_ahead_is_taken_in(rig: Rig) -> None:
    """After a long pause and a jump there are more rows than a page holds."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(NOW))
    polling = rig.poller()
    await catch_up(rig, polling)
    far = [10**12 + 7 * n for n in range(ENOUGH + 25)]
    rig.upstream.show(*rows(*far))
    for _ in range(2):  # The first page is of ten rows, and shows that more must be asked for.
        rig.clock.advance(11)
        await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [NOW, *far]


@pytest.mark.parametrize(
    "far",
    [[MOST], [MOST, MOST - 1, MOST - 2], [10**12], [10**12, MOST], [*range(10**12, 10**12 + 15)]],
    ids=["last", "last three", "one", "two", "fifteen"],
)
async def test_a_route_does_not_begin_behind_a_row_far_ahead(rig: Rig, far: list[int]) -> None:
    """Without a startRowId it begins behind the newest row there is: the newest plausible one."""
    await rig.source(start_row_id=None)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(NOW - 1, NOW, *far))
    polling = rig.poller()
    await catch_up(rig, polling)
    assert (await rig.state()).cursor == NOW
    rig.upstream.show(make_row(NOW + 1))
    rig.clock.advance(11)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [NOW + 1]
    assert set(await set_aside(rig)) == {str(row_id) for row_id in far}


async def test_a_route_that_stands_at_the_end_of_all_rowids_is_rewound(rig: Rig) -> None:
    """An older release let the cursor follow: cleaning up is quick, and from a cursor set by hand all goes on."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(NOW))
    polling = rig.poller()
    await catch_up(rig, polling)
    await rig.eyes.hset(keys.route(UK, "all"), "cursor", MOST)  # type: ignore[misc]
    await rig.eyes.zadd(keys.seen_buckets(UK, "t"), {str(MOST // 256): MOST // 256})
    kept = Rows(rig.redis, plan=rig.plan, longest_s=3600, most_bytes=10**6)
    async with asyncio.timeout(PATIENCE_S):
        await kept.forget(rig.catalogue.sources[UK], now_ms=rig.clock.at_ms)
    rig.upstream.show(*rows(NOW + 1))
    rig.clock.advance(61)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [NOW]
    await rig.routes.move(UK, "all", NOW, now_ms=rig.clock.at_ms)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [NOW, NOW + 1]
    assert (await rig.state()).cursor == NOW + 1


async def test_a_cursor_that_is_moved_under_a_poller_is_where_it_goes_on(rig: Rig) -> None:
    """Its page is dropped and nothing of it committed; rows that are known give no second event."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(*range(1, 31)))
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.show(make_row(31))
    held = rig.upstream.hold_next()
    rig.clock.advance(11)
    async with slice_of(polling):
        await until(lambda: rig.upstream.in_flight == 1)
        await rig.routes.move(UK, "all", 5, now_ms=rig.clock.at_ms)
        held.set()
        await until(lambda: at(rig, 31))
    assert await rig.row_ids(endpoint) == list(range(1, 32))
    asked = [request["filter[]"] for request in rig.upstream.requests]
    assert "rowId-gt-value-5" in asked


async def at(rig: Rig, cursor: int) -> bool:
    return (await rig.state()).cursor == cursor


async def test_a_cursor_can_be_moved_forwards(rig: Rig) -> None:
    """What lies between is skipped: that is what was asked for. A row that was held before it is taken in."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(NOW, 10**12))
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.show(make_row(NOW + 1))
    await rig.routes.move(UK, "all", 10**12 - 1, now_ms=rig.clock.at_ms)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [NOW, 10**12]
    assert (await rig.state()).last_error is None

"""Routes that are added to a source, removed and added again: no history, nothing twice, nothing new left out."""

from typing import Any

from relay.store import keys
from relay.store.route_states import LOST_CURSOR
from tests.fakes.upstream import make_row, says
from tests.integration.pipeline.rig import UK, Rig, catch_up, slice_of, time_brings, until


def rows(first: int, last: int, **columns: Any) -> list[dict[str, Any]]:
    return [make_row(row_id, **columns) for row_id in range(first, last + 1)]


async def catch_up_again(rig: Rig) -> None:
    """What came meanwhile is read, and what lies before the cursors is read again."""
    for _ in range(3):
        rig.clock.advance(61)
        await catch_up(rig, rig.poller())


async def test_a_route_that_is_added_sends_no_history(rig: Rig) -> None:
    """It begins behind the newest row that it shows then, although the source once began at a row."""
    await rig.source("calls", start_row_id=0)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 5), route="calls")
    rig.upstream.show(*rows(1, 9, goalTitle="x", extra="y"), route="goals")
    await catch_up(rig, rig.poller())
    await rig.source("calls", "goals", start_row_id=0)
    await catch_up_again(rig)
    assert (await rig.state("goals")).cursor == 9
    rig.upstream.show(*rows(10, 11), route="goals")
    await catch_up_again(rig)
    assert await rig.row_ids(endpoint) == [1, 2, 3, 4, 5, 10, 11]


async def test_a_route_that_comes_back_sends_no_history(rig: Rig) -> None:
    """What came while it was away is not asked for, whoever showed it, and what it showed before is not told again."""
    await rig.source("calls", "goals", start_row_id=0)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 5), route="calls")
    rig.upstream.show(*rows(3, 8, extra="y"), route="goals")
    await catch_up(rig, rig.poller())
    await rig.source("calls", start_row_id=0)
    await catch_up_again(rig)
    assert not await rig.eyes.exists(keys.route(UK, "goals"), keys.trail(UK, "goals"))
    rig.upstream.show(*rows(9, 12, extra="y"), route="goals")
    rig.upstream.show(*rows(9, 10), route="calls")
    await catch_up_again(rig)
    # What was known of all rows may be forgotten by then.
    for bucket in (0, 1):
        await rig.eyes.delete(keys.seen(UK, "t", bucket))
    rig.upstream.show(*rows(6, 7, extra="changed"), route="goals")
    await rig.source("calls", "goals", start_row_id=0)
    before = sorted(await rig.row_ids(endpoint))
    rig.clock.advance(11)
    await catch_up(rig, rig.poller(), "goals")
    assert (await rig.state("goals")).cursor == 12
    rig.upstream.show(*rows(13, 14), route="goals")
    rig.clock.advance(11)
    await catch_up(rig, rig.poller(), "goals")
    assert sorted(set(await rig.row_ids(endpoint)) - set(before)) == [13, 14]


async def test_rows_whose_owner_was_removed_are_not_told_again(rig: Rig) -> None:
    """Another route takes them over, with other columns, and gives them back when the owner returns: no event."""
    await rig.source("calls", "goals", start_row_id=0)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 5), route="calls")
    await catch_up(rig, rig.poller())
    rig.upstream.show(*rows(1, 5, extra="y"), route="goals")
    await catch_up_again(rig)
    for routes in (("goals",), ("goals", "calls"), ("calls",), ("calls", "all")):
        await rig.source(*routes, start_row_id=0)
        await catch_up_again(rig)
    assert await rig.row_ids(endpoint) == [1, 2, 3, 4, 5]


async def test_routes_that_a_source_was_made_with_begin_at_its_start(rig: Rig) -> None:
    """Also one that the upstream refused at first: it was not added later."""
    await rig.source("calls", "goals", start_row_id=3)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 5), route="calls")
    rig.upstream.show(*rows(11, 14), route="goals")
    rig.upstream.always = says(503)
    polling = rig.poller()
    async with slice_of(polling):
        await until(lambda: has_failed(rig))
    rig.upstream.always = None
    rig.clock.advance(300)
    await catch_up(rig, polling)
    assert sorted(await rig.row_ids(endpoint)) == [3, 4, 5, 11, 12, 13, 14]
    assert (await rig.state("calls")).joined == (await rig.state("goals")).joined == "creation"


async def has_failed(rig: Rig) -> bool:
    return (await rig.state("goals")).failures > 0


async def test_a_source_whose_routes_are_all_replaced_sends_no_history(rig: Rig) -> None:
    """The source has polled, whatever routes it did that with."""
    await rig.source("calls", start_row_id=0)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 3), route="calls")
    rig.upstream.show(*rows(1, 6, extra="y"), route="goals")
    await catch_up(rig, rig.poller())
    await rig.source("goals", start_row_id=0)
    await catch_up_again(rig)
    assert await rig.row_ids(endpoint) == [1, 2, 3]


async def test_a_route_that_is_replaced_while_a_slice_runs(rig: Rig) -> None:
    """A running slice forgets what it believed of a route that was removed, and begins anew with it."""
    await rig.source("calls", "goals", start_row_id=0, poll_interval_s=4.0)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 3), route="goals")
    polling = rig.poller()
    async with slice_of(polling):
        await until(lambda: is_at(rig, 3))
        await rig.source("calls", start_row_id=0, poll_interval_s=4.0)
        await until(lambda: is_at(rig, None))
        rig.upstream.show(*rows(4, 6), route="goals")
        await rig.source("calls", "goals", start_row_id=0, poll_interval_s=4.0)
        await until(lambda: is_at(rig, 6))
        rig.upstream.show(make_row(7), route="goals")
        await time_brings(rig, lambda: is_at(rig, 7), step_s=5)
    assert await rig.row_ids(endpoint) == [1, 2, 3, 7]


async def is_at(rig: Rig, cursor: int | None) -> bool:
    return (await rig.state("goals")).cursor == cursor


async def test_a_damaged_cursor_stops_its_route_only(rig: Rig) -> None:
    """The route says what to do, and doing it helps; the others go on, and damage elsewhere stops nothing."""
    await rig.source("calls", "goals", start_row_id=0)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 3), route="calls")
    rig.upstream.show(*rows(11, 13), route="goals")
    await catch_up(rig, rig.poller())
    await rig.eyes.hset(keys.route(UK, "goals"), "cursor", b"\xff!")  # type: ignore[misc]
    damage = {"next_poll_at_ms": "soon", "state": "floating", "held_from": "1.5", "failures": "\0"}
    await rig.eyes.hset(keys.route(UK, "calls"), mapping=damage)  # type: ignore[misc]
    await rig.eyes.zadd(keys.trail(UK, "calls"), {"nowhere": 1})
    await rig.eyes.hset(keys.route(UK, "calls"), "of_a_newer_release", "1")  # type: ignore[misc]
    rig.upstream.show(*rows(4, 6), route="calls")
    rig.upstream.show(*rows(14, 15), route="goals")
    rig.clock.advance(61)
    asked = len(rig.upstream.requests)
    await catch_up(rig, rig.poller(), "calls")
    assert sorted(await rig.row_ids(endpoint)) == [1, 2, 3, 4, 5, 6, 11, 12, 13]
    assert rig.upstream.routes[asked:].count("goals") == 0
    state = await rig.state("goals")
    assert (state.state, state.cursor, state.last_error) == ("stopped", None, LOST_CURSOR)
    for routes in (("calls",), ("calls", "goals")):
        await rig.source(*routes, start_row_id=0)
        await catch_up_again(rig)
    rig.upstream.show(make_row(16), route="goals")
    await catch_up_again(rig)
    assert sorted(await rig.row_ids(endpoint)) == [1, 2, 3, 4, 5, 6, 11, 12, 13, 16]


async def test_another_start_is_for_the_routes_that_are_added_with_it(rig: Rig) -> None:
    """Who changes `startRowId` gives it to those, and to nothing that polls already or that is added after that."""
    await rig.source("calls", start_row_id=None)
    endpoint = await rig.endpoint()
    for route in ("calls", "goals", "visits", "all"):
        rig.upstream.show(*rows(1, 8, shownBy=route), route=route)
    await catch_up(rig, rig.poller())
    await rig.source("calls", "goals", start_row_id=3)
    await catch_up_again(rig)
    assert await rig.row_ids(endpoint) == [3, 4, 5, 6, 7, 8]
    for routes in (("calls", "goals", "visits"), ("calls",), ("calls", "goals"), ("all",)):
        await rig.source(*routes, start_row_id=3)
        await catch_up_again(rig)
        assert {(await rig.state(route)).cursor for route in routes} == {8}
    assert await rig.row_ids(endpoint) == [3, 4, 5, 6, 7, 8]


async def test_who_has_missed_that_a_route_was_added_does_not_forget_it(rig: Rig) -> None:
    """A worker looks into the newest configuration before it takes a route for one that was removed."""
    await rig.source("calls", start_row_id=0)
    endpoint, behind = await rig.endpoint(), rig.poller()
    await catch_up(rig, behind)
    known, rig.catalogue = rig.catalogue, rig.new_catalogue()
    await rig.source("calls", "all", start_row_id=0)
    rig.clock.advance(11)
    await catch_up(rig, rig.poller())
    rig.upstream.show(*rows(1, 2), route="all")
    rig.catalogue = known
    assert known.sources[UK].routes == ("calls",)
    rig.clock.advance(11)
    await catch_up(rig, behind, "calls", "all")
    assert known.sources[UK].routes == ("calls", "all")
    assert sorted(await rig.row_ids(endpoint)) == [1, 2]

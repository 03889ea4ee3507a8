"""Reconciliation: what the upstream shows, what is stored and what is confirmed, and how differences are repaired."""

from typing import Any

import msgspec
import pytest

from relay.domain.identity import message_id, stable_digest
from relay.domain.model import EndpointId
from relay.domain.reconciling import Counts
from relay.domain.sending.effects import HandIn
from relay.errors import Conflict
from relay.pipeline import renewing, shifts
from relay.pipeline.reconciling import comparing, reconciling
from relay.store import book_keys, keys
from relay.store.backlog import Backlog
from relay.store.retention import Retention
from tests.fakes.upstream import make_row, refuses_above, says
from tests.integration.books import dump
from tests.integration.pipeline.reconciling_rig import Desk
from tests.integration.pipeline.rig import UK, Rig, catch_up, slice_of, until
from tests.patience import PATIENCE_S


def rows(*row_ids: int, **columns: Any) -> list[dict[str, Any]]:
    return [make_row(row_id, **columns) for row_id in row_ids]


@pytest.fixture
async def desk(rig: Rig) -> Desk:
    return Desk(rig)


async def send(rig: Rig, *, ended: int, dead: int = 0, session: str = "s") -> None:
    """A worker sends what waits: so many callbacks are confirmed, and so many given up."""
    given = await exchange(rig, 1, session=session, claim=1, per_lane=ended + dead)
    some, rest = given[0].references[:ended], given[0].references[ended:]
    lost = [(reference, "schedule_used_up") for reference in rest]
    await exchange(rig, 2, HandIn(given[0].endpoint, ended=some, dead=lost, leaving="go"), session=session)


async def exchange(rig: Rig, turn: int, *handed: HandIn, session: str = "s", **options: Any) -> Any:
    found = await rig.lanes.exchange(
        UK, handed, session=session, turn=turn, before=turn - 1, now_ms=rig.clock.at_ms, lives_ms=60_000, **options
    )
    return found.given


async def test_where_all_is_well_there_is_no_difference(rig: Rig, desk: Desk) -> None:
    """Each row is counted, and for each endpoint what it confirmed and what waits."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(*range(1, 31)))
    await catch_up(rig, rig.poller())
    await send(rig, ended=12)
    asked = len(rig.upstream.requests)
    run = await desk.run()
    assert (run.phase, run.shown, run.stored, run.events, run.found) == ("done", 30, 30, 30, {})
    assert run.endpoints == {endpoint.id: Counts(waiting=18, confirmed=12)}
    assert (run.position, run.ends) == ({"t": 30}, {"t": 30})
    requests = [dict(request) for request in rig.upstream.requests[asked:]]
    assert {request["display[]"] for request in requests} == {"rowId"}
    assert {request["sort[]"] for request in requests} == {"rowId-asc"}
    assert rig.upstream.most_in_flight == 1
    assert await rig.operations.page(limit=10) == []


async def test_a_row_that_nobody_saw_is_missing_until_it_is_repaired(rig: Rig, desk: Desk) -> None:
    """It becomes the event that it would have been, with the same id, and reaches those who want it."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 2, 9))
    await catch_up(rig, rig.poller())
    late = make_row(5)
    rig.upstream.show(late)
    run = await desk.run()
    assert await desk.listed(run) == [("missing", 5, "")]
    assert run.found == {"missing": 1}
    (told,) = await rig.operations.page(limit=10)
    assert (told.kind, told.data["missing"]) == ("source.differs", 1)
    repaired = await desk.repaired(run)
    assert (repaired.phase, repaired.repaired, repaired.unrepaired) == ("done", 1, 0)
    expected = message_id(UK, space="t", row_id=5, digest=stable_digest(late), recurrence=0)
    assert [each["id"] for each in await rig.waiting(endpoint) if each["rowId"] == "5"] == [expected]
    assert (await desk.run()).found == {}
    assert (await rig.state()).cursor == 9


async def test_a_repair_that_was_cut_short_is_not_done_twice(rig: Rig, desk: Desk) -> None:
    """What the lost turn had done already is there, and is left as it is."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 2, 9))
    await catch_up(rig, rig.poller())
    await rig.eyes.delete(keys.lane(UK, endpoint.id), keys.lanes(UK), keys.ready(UK))
    rig.upstream.show(*rows(5))
    run = await desk.run()
    assert run.found == {"missing": 1, "undelivered": 3}
    for _ in range(2):
        before = await desk.runs.get(UK, run.id)
        assert (await desk.repaired(run)).repaired == 4
        # As it was before the turn: its last write was lost.
        after = await desk.runs.get(UK, run.id)
        await desk.runs.save(UK, after, before)
    assert sorted(await rig.row_ids(endpoint)) == [1, 2, 5, 9]


async def test_rows_that_the_routes_did_not_begin_with_are_not_missing(rig: Rig, desk: Desk) -> None:
    """A route that began behind the newest row owes nobody what was before, nor what it has not come to."""
    await rig.source(start_row_id=None)
    rig.upstream.show(*rows(1, 2, 3))
    await catch_up(rig, rig.poller())
    rig.clock.advance(11)
    rig.upstream.show(*rows(4, 5))
    await catch_up(rig, rig.poller())
    rig.upstream.show(*rows(6))
    run = await desk.run()
    assert (run.shown, run.stored, run.found) == (2, 2, {})


async def test_deliveries_that_vanished_are_put_into_their_lanes_again(rig: Rig, desk: Desk) -> None:
    """What is owed and stands nowhere is told from what waits, and is sent after the repair."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(*range(1, 7)))
    await catch_up(rig, rig.poller())
    await send(rig, ended=2)
    await rig.eyes.delete(keys.lane(UK, endpoint.id), keys.lanes(UK), keys.ready(UK))
    rig.clock.advance(11)
    rig.upstream.show(*rows(7))
    await catch_up(rig, rig.poller())
    run = await desk.run()
    assert await desk.listed(run) == [("undelivered", row_id, endpoint.id) for row_id in (3, 4, 5, 6)]
    assert run.endpoints == {endpoint.id: Counts(waiting=1, confirmed=2, undelivered=4)}
    repaired = await desk.repaired(run)
    assert (repaired.repaired, repaired.unrepaired) == (4, 0)
    assert sorted(await rig.row_ids(endpoint)) == [3, 4, 5, 6, 7]
    assert (await desk.run()).endpoints == {endpoint.id: Counts(waiting=5, confirmed=2)}


async def test_what_was_given_up_or_dropped_is_named(rig: Rig, desk: Desk) -> None:
    """It is a difference, and is sent again only if somebody asks for that."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(*range(1, 7)))
    await catch_up(rig, rig.poller())
    await send(rig, ended=1, dead=2)
    below = (await rig.waiting(endpoint))[1]["rowId"]
    assert below == "5"
    number = (await rig.books()).waiting[endpoint.id][1].number
    await Backlog(rig.redis).drop_waiting(UK, endpoint.id, reason="backlog_full", now_ms=rig.clock.at_ms, below=number)
    run = await desk.run()
    assert await desk.listed(run) == [
        ("dead", 2, endpoint.id), ("dead", 3, endpoint.id), ("dropped", 4, endpoint.id),
    ]  # fmt: skip
    assert (await desk.repaired(run)).repaired == 0
    assert (await desk.repaired(run, "dead", "dropped")).repaired == 3
    assert sorted(await rig.row_ids(endpoint)) == [2, 3, 4, 5, 6]
    assert (await desk.run()).found == {}


async def test_an_event_that_is_gone_comes_from_the_upstream_again(rig: Rig, desk: Desk) -> None:
    """Retention forgot the event, and its row is there: it is fetched, with the same id under a new number."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 2, 3))
    await catch_up(rig, rig.poller())
    before = {each["rowId"]: each["id"] for each in await rig.waiting(endpoint)}
    await Backlog(rig.redis).drop_waiting(UK, endpoint.id, reason="backlog_full", now_ms=rig.clock.at_ms)
    await rig.eyes.incrby(keys.sequence(UK), 1000)
    assert await Retention(rig.redis).forget_events(UK, before_ms=rig.clock.at_ms + 1) == 3
    run = await desk.run()
    assert run.found == {"dropped": 3}
    assert (await desk.repaired(run, "dropped")).repaired == 3
    assert {each["rowId"]: each["id"] for each in await rig.waiting(endpoint)} == before
    again = await desk.run()
    assert (again.found, again.endpoints) == ({}, {endpoint.id: Counts(waiting=3, unwanted=3)})


async def test_a_row_is_read_again_for_those_who_lack_it_only(rig: Rig, desk: Desk) -> None:
    """Other endpoints have confirmed it, and get it no second time. Each endpoint gets what it lacks itself."""
    await rig.source()
    done, some, none = [await rig.endpoint() for _ in range(3)]
    rig.upstream.show(*rows(1, 2, 3))
    await catch_up(rig, rig.poller())
    await send(rig, ended=3)
    await send(rig, ended=1, session="t")
    for each in (some, none):
        await Backlog(rig.redis).drop_waiting(UK, each.id, reason="backlog_full", now_ms=rig.clock.at_ms)
    await rig.eyes.incrby(keys.sequence(UK), 1000)
    assert await Retention(rig.redis).forget_events(UK, before_ms=rig.clock.at_ms + 1) == 3
    run = await desk.run()
    assert run.found == {"dropped": 5}
    assert (await desk.repaired(run, "dropped")).repaired == 5
    assert [sorted(await rig.row_ids(each)) for each in (done, some, none)] == [[], [2, 3], [1, 2, 3]]
    assert (await desk.run()).found == {}


async def test_two_repairs_of_one_difference_send_once(rig: Rig, desk: Desk) -> None:
    """What the first one has sent, and the endpoint has confirmed since, is no difference any more."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 2, 3, 4))
    await catch_up(rig, rig.poller())
    await send(rig, ended=1, dead=1)
    await rig.eyes.delete(keys.lane(UK, endpoint.id), keys.lanes(UK), keys.ready(UK))
    runs = [await desk.run(), await desk.run()]
    assert [run.found for run in runs] == [{"undelivered": 2, "dead": 1}] * 2
    assert (await desk.repaired(runs[0], "undelivered", "dead")).repaired == 3
    assert sorted(await rig.row_ids(endpoint)) == [2, 3, 4]
    await send(rig, ended=3, session="t")
    assert (await desk.repaired(runs[1], "undelivered", "dead")).repaired == 3
    assert await rig.row_ids(endpoint) == []
    assert set((await rig.books()).references.values()) <= {0}


async def test_a_difference_of_a_deleted_endpoint_is_none(rig: Rig, desk: Desk) -> None:
    """It is owed nothing any more, so its rows are not read again either."""
    await rig.source()
    endpoint, other = await rig.endpoint(), await rig.endpoint()
    rig.upstream.show(*rows(1, 2))
    await catch_up(rig, rig.poller())
    await rig.eyes.delete(keys.lane(UK, endpoint.id), keys.lanes(UK), keys.ready(UK))
    run = await desk.run()
    await rig.endpoints.delete(endpoint.app_id, endpoint.id)
    await rig.catalogue.refresh()
    asked, waiting = len(rig.upstream.requests), await rig.eyes.llen(keys.lane(UK, other.id))  # type: ignore[misc]
    assert (await desk.repaired(run)).repaired == 2
    assert len(rig.upstream.requests) == asked
    assert await rig.eyes.llen(keys.lane(UK, other.id)) == waiting == 2  # type: ignore[misc]


async def test_a_row_that_the_upstream_does_not_show_any_more_is_named(rig: Rig, desk: Desk) -> None:
    """The relay has an event of it, and nothing can be done about that."""
    await rig.source()
    rig.upstream.show(*rows(1, 2, 3))
    await catch_up(rig, rig.poller())
    del rig.upstream.lines["all"][2]
    run = await desk.run()
    assert await desk.listed(run) == [("unexpected", 2, "")]


async def test_a_row_that_cannot_be_read_stays_missing(rig: Rig, desk: Desk) -> None:
    """It is set aside again, and nobody is told that it was repaired."""
    await rig.source()
    rig.upstream.show(*rows(1, 3))
    rig.upstream.show_line(2, b'{"rowId":"2","act":nonsense}')
    await catch_up(rig, rig.poller())
    run = await desk.run()
    assert await desk.listed(run) == [("missing", 2, "")]
    repaired = await desk.repaired(run)
    assert (repaired.repaired, repaired.unrepaired) == (0, 1)


async def test_routes_are_compared_side_by_side(rig: Rig, desk: Desk) -> None:
    """A row of one route is not unexpected on another, and call charges are rows of their own."""
    await rig.source("calls", "goals", "itemisedCalls", batch_size=2)
    rig.upstream.show(*rows(1, 3, 5, 6, 7), route="calls")
    rig.upstream.show(*rows(2, 3, 8), route="goals")
    rig.upstream.show(*rows(1, 2), route="itemisedCalls")
    await catch_up(rig, rig.poller())
    rig.upstream.show(*rows(4), route="goals")
    run = await desk.run()
    assert [(each.kind, each.row_id, each.route) for each in await desk.differences(run)] == [("missing", 4, "goals")]
    assert (run.shown, run.stored, run.ends) == (10, 9, {"i": 2, "t": 8})


async def test_only_the_range_is_compared(rig: Rig, desk: Desk) -> None:
    """By rowIds, or by the times at which the routes had come to them."""
    await rig.source()
    began = rig.clock.at_ms
    for row_id in (1, 2, 3, 4):
        rig.upstream.show(*rows(row_id))
        await catch_up(rig, rig.poller(every_s=10_000))
        rig.clock.advance(60)
    assert (await desk.run(after=1, until=3)).shown == 2
    assert (await desk.run(since_ms=began + 30_000, until_ms=began + 130_000)).shown == 2
    assert (await desk.run(since_ms=began + 30_000)).shown == 3


async def test_a_long_range_takes_many_windows_and_turns(rig: Rig, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn ends soon, and the next one continues behind the last window."""
    monkeypatch.setattr(comparing, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(reconciling, "TURN_MS", 1)
    await rig.source(batch_size=4)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(*range(1, 400, 7)))
    await catch_up(rig, rig.poller())
    rig.upstream.show(*rows(100, 200))
    del rig.upstream.lines["all"][1], rig.upstream.lines["all"][8]

    fetched = desk.reports.fetch

    async def slowly(*args: Any, **options: Any) -> Any:
        rig.clock.advance(1)
        return await fetched(*args, **options)

    monkeypatch.setattr(desk.reports, "fetch", slowly)
    run = await desk.run()
    assert (run.shown, run.stored, run.events) == (57, 57, 57)
    assert run.endpoints == {endpoint.id: Counts(waiting=57)}
    found = [(kind, row_id) for kind, row_id, _ in await desk.listed(run)]
    assert found == [("unexpected", 1), ("unexpected", 8), ("missing", 100), ("missing", 200)]


async def test_what_arrived_meanwhile_is_no_difference(rig: Rig, desk: Desk) -> None:
    """Each difference is looked at again at the end: the overlap may have found the row."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 3))
    await catch_up(rig, rig.poller())
    rig.upstream.show(*rows(2))
    run = await desk.ask()
    ground = await desk.comparing.ground(rig.catalogue.sources[UK], run, now_ms=rig.clock.at_ms)
    compared = await desk.comparing.compare(ground, run, is_over=lambda: False)
    assert (compared.phase, compared.found) == ("checking", {"missing": 1})
    rig.clock.advance(100)
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == [1, 3, 2]
    run = await desk.ended(run)
    assert (run.found, await desk.listed(run)) == ({}, [])


async def test_an_upstream_that_fails_is_asked_again(rig: Rig, desk: Desk) -> None:
    """Nothing is found by an answer that proves nothing, and a reconciliation that can't go on says why."""
    await rig.source()
    rig.upstream.show(*rows(1, 2))
    await catch_up(rig, rig.poller())
    rig.upstream.amiss.append(says(503))
    run = await desk.ask()
    await desk.reconciling.turn(UK)
    waits = await desk.runs.get(UK, run.id)
    assert (waits.phase, waits.failures, waits.error) == ("comparing", 1, "the upstream answered 503")
    assert ((await desk.ended(run)).found, (await desk.runs.get(UK, run.id)).error) == ({}, None)
    rig.upstream.amiss.append(says(401))
    refused = await desk.run()
    assert (refused.phase, refused.error) == ("failed", "the upstream refuses the credentials (401)")
    assert [each.kind for each in await rig.operations.page(limit=10)] == ["source.reconciliation_failed"]


async def test_an_upstream_that_shows_no_rowids_alone_is_asked_for_rows(rig: Rig, desk: Desk) -> None:
    """One that refuses `display[]`, or the limit, is asked in another way."""
    await rig.source(batch_size=8)
    rig.upstream.show(*rows(*range(1, 7)))
    await catch_up(rig, rig.poller())
    rig.upstream.amiss.extend([says(400, "unknown column"), refuses_above(4), refuses_above(4)])
    asked = len(rig.upstream.requests)
    assert (await desk.run()).shown == 6
    requests = rig.upstream.requests[asked:]
    assert ["display[]" in request for request in requests] == [True, *[False] * (len(requests) - 1)]
    assert [request["limit"] for request in requests[:3]] == ["8", "8", "4"]


async def test_one_that_cannot_be_read_is_in_nobodys_way(rig: Rig, desk: Desk) -> None:
    """It is left out, and the next one is worked on."""
    await rig.source()
    broken = await desk.ask()
    await rig.eyes.set(book_keys.reconciliation(UK, broken.id), b"nonsense")
    rig.clock.advance(1)
    assert (await desk.run()).phase == "done"
    assert len(await desk.runs.newest(UK)) == 1
    assert await rig.eyes.zcard(book_keys.reconciling(UK)) == 0


async def test_each_night_every_source_is_reconciled(rig: Rig, desk: Desk) -> None:
    """A new source waits for its first night; rows that the overlap may still find are left for the next one."""
    await rig.source()
    rig.upstream.show(*rows(1, 2, 4))
    await catch_up(rig, rig.poller())
    assert await desk.reconciling.due() == []
    assert await desk.reconciling.due() == []
    rig.clock.advance(86_400 * 1.3)
    rig.upstream.show(*rows(3, 5))
    await catch_up(rig, rig.poller())
    assert await desk.reconciling.due() == [UK]
    await desk.reconciling.turn(UK)
    (run,) = await desk.runs.newest(UK)
    assert (run.scheduled, run.phase, run.found) == (True, "done", {"missing": 1})
    assert (run.shown, run.ends, run.settled) == (5, {"t": 5}, {"t": 4})
    assert await desk.reconciling.due() == []
    await desk.reconciling.turn(UK)
    assert len(await desk.runs.newest(UK)) == 1
    for night in (2, 3):
        rig.clock.advance(86_400 * 1.3)
        await desk.reconciling.turn(UK)
        newest = await desk.runs.newest(UK)
        assert (len(newest), newest[0].settled) == (night, {"t": 5})
    # Each begins where the one before could tell for certain.
    assert (newest[0].shown, newest[1].shown) == (0, 1)
    assert [each.kind for each in await rig.operations.page(limit=10)] == ["source.differs"]


async def test_a_slice_makes_room_for_a_turn(rig: Rig, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is polled all the time is reconciled too: the slice ends when it renews its lease."""
    monkeypatch.setattr(renewing, "RENEW_S", 0.02)
    await rig.source(poll_interval_s=0.1)
    rig.upstream.show(*rows(1, 2))
    await catch_up(rig, rig.poller())
    run = await desk.ask()
    async with slice_of(rig.poller()) as slice_:
        await until(lambda: rig.eyes.exists(keys.lease(UK)))
        await desk.reconciling.turn(UK)
        assert (await desk.runs.get(UK, run.id)).phase == "done"
        await until(slice_.done)
    assert rig.upstream.most_in_flight == 1


async def test_polling_has_the_source_between_turns(rig: Rig, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a slice does not end nobody reconciles, and after a turn the source is free."""
    monkeypatch.setattr(shifts, "OVERTIME_MS", 0)
    await rig.source()
    rig.upstream.show(*rows(1, 2))
    await catch_up(rig, rig.poller())
    token = await rig.routes.take(UK)
    assert token is not None
    run = await desk.ask()
    asked = len(rig.upstream.requests)
    await desk.reconciling.turn(UK)
    assert len(rig.upstream.requests) == asked
    assert (await desk.runs.get(UK, run.id)).position == {}
    await rig.routes.give_back(UK, token)
    assert (await desk.ended(run)).phase == "done"
    assert await rig.routes.take(UK) is not None


async def test_a_paused_source_is_left_alone(rig: Rig, desk: Desk) -> None:
    """The upstream is not asked for anything."""
    await rig.source(paused=True)
    run = await desk.ask()
    await desk.reconciling.turn(UK)
    assert (rig.upstream.requests, (await desk.runs.get(UK, run.id)).phase) == ([], "comparing")


async def test_what_somebody_else_wrote_is_not_overwritten(rig: Rig, desk: Desk) -> None:
    """A worker that slept can't put a reconciliation back to where it was."""
    await rig.source()
    run = await desk.ask()
    await desk.runs.save(UK, run, msgspec.structs.replace(run, shown=1))
    with pytest.raises(Conflict):
        await desk.runs.save(UK, run, msgspec.structs.replace(run, shown=2))


async def test_a_deleted_endpoint_is_owed_nothing(rig: Rig, desk: Desk) -> None:
    """What it had not confirmed is no difference."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 2))
    await catch_up(rig, rig.poller())
    await rig.eyes.delete(keys.lane(UK, endpoint.id))
    await rig.endpoints.delete(endpoint.app_id, endpoint.id)
    await rig.catalogue.refresh()
    run = await desk.run()
    assert (run.found, run.endpoints) == ({}, {})


async def test_reconciliations_go_with_their_source(rig: Rig, desk: Desk) -> None:
    """Nothing is left of them, and one that a worker is at writes nothing more."""
    await rig.source()
    endpoint: EndpointId = (await rig.endpoint()).id
    rig.upstream.show(*rows(1, 2))
    await catch_up(rig, rig.poller())
    await rig.eyes.delete(keys.lane(UK, endpoint))
    run = await desk.run()
    assert run.found == {"undelivered": 2}
    await rig.sources.delete(UK)
    await rig.deleting().run(within_s=PATIENCE_S)
    left = [name for name in await dump(rig.eyes) if name.startswith(keys.prefix(UK))]
    assert left == [keys.fence(UK)]
    assert await rig.eyes.zscore(keys.RECONCILED, UK) is None

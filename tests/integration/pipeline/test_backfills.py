"""Backfills: rows of a range again, for those who asked, without the live cursor."""

from typing import Any

import httpx
import pytest

from relay.domain.model import EndpointId
from relay.domain.reading.backfill import Backfill
from relay.domain.reading.place import Place
from relay.domain.sending.effects import HandIn
from relay.pipeline.reading.backfilling import FULL_WAIT_MS
from relay.store import keys
from relay.store.retention import Retention
from relay.store.rows import Rows
from tests.fakes.upstream import FakeUpstream, make_row, page, says
from tests.integration.pipeline.rig import UK, Rig, catch_up, slice_of, time_brings, until
from tests.integration.pipeline.test_readings import HOUR, rows, run, shows_row_ids


async def begin(rig: Rig, *, until_row: int, **fields: Any) -> Backfill:
    """Ask for a backfill, as the API does."""
    values = {"route": "all", "until": until_row, "created_ms": rig.clock.at_ms} | fields
    return await rig.backfills.create(UK, lambda i: Backfill(id=i, **values), now_ms=rig.clock.at_ms)


async def is_done(rig: Rig, backfill: Backfill) -> bool:
    return (await rig.backfills.get(UK, backfill.id)).state != "running"


async def done(rig: Rig, polling: Any, backfill: Backfill) -> Backfill:
    async with slice_of(polling):
        await until(lambda: is_done(rig, backfill))
    return await rig.backfills.get(UK, backfill.id)


async def ids(rig: Rig, endpoint: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in await rig.waiting(endpoint):
        found.setdefault(each["rowId"], []).append(each["id"])
    return found


async def test_an_endpoint_gets_history(rig: Rig) -> None:
    """Rows from before the source, forgotten ones, and known ones: each under the id that it always has."""
    await rig.source(batch_size=10, start_row_id=41)
    old, polling = await rig.endpoint(), rig.poller(changes_s=(HOUR,))
    rig.upstream.show(*rows(1, 100))
    await catch_up(rig, polling)
    new = await rig.endpoint()
    before = await rig.state()
    ended = await done(rig, polling, await begin(rig, until_row=100, endpoints=(new.id,)))
    assert (ended.state, ended.rows, ended.events) == ("done", 100, 100)
    assert (await rig.state()).cursor == before.cursor
    told, had = await ids(rig, new), await ids(rig, old)
    assert sorted(map(int, told)) == list(range(1, 101))
    assert all(len(each) == 1 for each in (*told.values(), *had.values()))
    assert {row_id: told[row_id] for row_id in had} == had
    assert (await rig.readings.load(UK)).of["all"].keys() == {"overlap", "change.3600"}


async def test_a_row_that_changed_has_the_id_of_its_state(rig: Rig) -> None:
    """A value that came back has another id than the first time: a backfill knows which one it is now."""
    await rig.source()
    old, polling = await rig.endpoint(), rig.poller()
    for rating in ("1", "2", "1"):
        rig.upstream.show(make_row(7, callRating=rating))
        rig.clock.advance(61)
        await catch_up(rig, polling)
    new = await rig.endpoint()
    await done(rig, polling, await begin(rig, until_row=7, endpoints=(new.id,)))
    (again,) = await rig.waiting(new)
    assert again["id"] == (await rig.waiting(old))[-1]["id"]
    assert (again["revision"], again["type"], again.get("previous")) == (3, "call.created", None)


@pytest.mark.parametrize(("endpoints", "told"), [(None, 20), ((), 0)])
async def test_to_all_or_to_none(rig: Rig, endpoints: tuple[EndpointId, ...] | None, told: int) -> None:
    """All that want the rows, or nobody: then they are stored only."""
    await rig.source(start_row_id=21)
    endpoint, picky = await rig.endpoint(), await rig.endpoint(event_types=("goal.created",))
    polling = rig.poller()
    rig.upstream.show(*rows(1, 20))
    await catch_up(rig, polling)
    ended = await done(rig, polling, await begin(rig, until_row=20, endpoints=endpoints))
    assert (ended.rows, ended.events) == (20, 20)
    assert len(await rig.row_ids(endpoint)) == told
    assert await rig.row_ids(picky) == []
    assert len(await rig.events.read(UK, range(1, 200))) == 20


async def test_news_is_for_everybody(rig: Rig) -> None:
    """A change that a backfill finds goes to all that want it, and so does a late row where gaps are still probed."""
    await rig.source(batch_size=10)
    old, polling = await rig.endpoint(), rig.poller(gaps_s=24 * HOUR, changes_s=(24 * HOUR,))
    rig.upstream.always = shows_row_ids
    rig.upstream.show(*rows(1, 8), *rows(10, 20))
    await catch_up(rig, polling)
    await run(rig, polling, HOUR)
    rig.upstream.show(make_row(9), make_row(3, callRating="1"))
    await done(rig, polling, await begin(rig, until_row=20, endpoints=()))
    assert await rig.row_ids(old) == [*range(1, 9), *range(10, 21), 3, 9]


async def test_a_date_to_begin_at(rig: Rig) -> None:
    """The first row of that day and later is the first one; the request has a date, and no other has."""
    await rig.source(start_row_id=100)
    endpoint, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(*rows(1, 30))

    def dated(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
        if request.url.params.get("startDate") != "2026-01-31":
            return page(upstream, request)
        upstream.lines["all"] = {i: line for i, line in upstream.lines["all"].items() if i >= 12}
        return page(upstream, request)

    rig.upstream.always = dated
    await catch_up(rig, polling)
    await done(rig, polling, await begin(rig, until_row=30, since="2026-01-31"))
    assert await rig.row_ids(endpoint) == list(range(12, 31))


@pytest.mark.parametrize("upstream", [shows_row_ids, page])
async def test_a_dry_run_counts(rig: Rig, upstream: Any) -> None:
    """How many rows there are, and how many of them a rewound cursor would send: nothing is stored."""
    await rig.source(batch_size=10, start_row_id=61)
    endpoint, polling = await rig.endpoint(), rig.poller()
    rig.upstream.always = upstream
    rig.upstream.show(*rows(1, 100))
    await catch_up(rig, polling)
    ended = await done(rig, polling, await begin(rig, until_row=100, dry_run=True))
    assert (ended.rows, ended.events) == (100, 60)
    assert await rig.row_ids(endpoint) == list(range(61, 101))


async def test_it_continues_after_a_kill(rig: Rig) -> None:
    """Page by page, whoever polls: each row once."""
    await rig.source(batch_size=5, start_row_id=200)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 100))
    await catch_up(rig, rig.poller())
    backfill = await begin(rig, until_row=100, endpoints=(endpoint.id,))
    for _ in range(40):
        before = len(rig.upstream.requests)
        async with slice_of(rig.poller()):
            await until(lambda before=before: len(rig.upstream.requests) > before)
        if await is_done(rig, backfill):
            break
    assert await rig.row_ids(endpoint) == list(range(1, 101))
    assert len(rig.upstream.requests) < 60


async def test_it_can_be_cancelled(rig: Rig) -> None:
    """It ends between two pages, says how far it was, and leaves nothing behind."""
    await rig.source(batch_size=5, start_row_id=200)
    rig.upstream.show(*rows(1, 100))
    polling = rig.poller(requests_per_hour=3600)
    await catch_up(rig, polling)
    backfill = await begin(rig, until_row=100)
    async with slice_of(polling):
        for _ in range(3):
            before = len(rig.upstream.requests)
            await until(lambda before=before: ticked(rig, before))
        place = (await rig.readings.load(UK)).of["all"][f"backfill.{backfill.id}"]
        cancelled = backfill.ended("cancelled", place, now_ms=rig.clock.at_ms)
        await rig.backfills.cancel(UK, cancelled, before=backfill)
        asked = len(rig.upstream.requests)
        for _ in range(30):
            await ticked(rig, asked)
    assert len(rig.upstream.requests) <= asked + 4
    ended = await rig.backfills.get(UK, backfill.id)
    assert (ended.state, ended.rows % 5) == ("cancelled", 0)
    assert 5 <= ended.rows <= 50
    assert "backfill" not in str((await rig.readings.load(UK)).of)


async def ticked(rig: Rig, requests: int) -> bool:
    rig.clock.advance(0.3)
    return len(rig.upstream.requests) > requests


async def test_it_waits_for_an_endpoint_with_much_to_do(rig: Rig) -> None:
    """What waits for an endpoint is bounded, and the oldest is dropped: a backfill must not be the reason."""
    await rig.source(batch_size=10, start_row_id=200)
    endpoint, polling = await rig.endpoint(), rig.poller(most_bytes=20_000)
    rig.upstream.show(*rows(1, 190))
    await catch_up(rig, polling)
    backfill = await begin(rig, until_row=190)
    async with slice_of(polling):
        await until(lambda: owes(rig, endpoint.id, 20_000))
        await until(lambda: is_waiting(rig, backfill))
        assert 20 < len(await rig.row_ids(endpoint)) < 90
        await rig.eyes.delete(keys.owed(UK))
        await time_brings(rig, lambda: owes(rig, endpoint.id, 20_000), step_s=5)
        await until(lambda: is_waiting(rig, backfill))
        assert (await place_of(rig, backfill)).waits_for == (endpoint.id,)
        assert not await is_done(rig, backfill)
        await rig.change(endpoint, disabled=True)
        await rig.catalogue.refresh()
        await time_brings(rig, lambda: is_done(rig, backfill), step_s=5)


async def is_waiting(rig: Rig, backfill: Backfill) -> bool:
    return (await place_of(rig, backfill)).due_ms == rig.clock.at_ms + FULL_WAIT_MS


async def place_of(rig: Rig, backfill: Backfill) -> Place:
    return (await rig.readings.load(UK)).of["all"][f"backfill.{backfill.id}"]


async def test_it_waits_for_nobody_once_it_continues(rig: Rig) -> None:
    """The endpoint that it waited for has caught up, and the next request fails: that is another reason."""
    await rig.source(batch_size=10, start_row_id=200)
    await rig.endpoint()
    polling = rig.poller(most_bytes=5_000)
    rig.upstream.show(*rows(1, 90))
    await catch_up(rig, polling)
    backfill = await begin(rig, until_row=90)
    async with slice_of(polling):
        await until(lambda: waits(rig, backfill))
        await rig.eyes.delete(keys.owed(UK))
        rig.upstream.amiss.append(says(503))
        await time_brings(rig, lambda: has_failed(rig, backfill), step_s=5)
    assert (await place_of(rig, backfill)).waits_for == ()


async def waits(rig: Rig, backfill: Backfill) -> bool:
    place = (await rig.readings.load(UK)).of["all"].get(f"backfill.{backfill.id}")
    return place is not None and place.waits_for != ()


async def has_failed(rig: Rig, backfill: Backfill) -> bool:
    return (await place_of(rig, backfill)).failures == 1


async def test_days_to_begin_and_to_end_at(rig: Rig) -> None:
    """Rows of later days are left out by the upstream, whatever their rowIds."""
    await rig.source(start_row_id=100, batch_size=10)
    endpoint, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(*rows(1, 90))
    late = {15, *range(60, 81)}

    def dated(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
        whole = upstream.lines["all"]
        if request.url.params.get("endDate") == "2026-02-01":
            upstream.lines["all"] = {i: line for i, line in whole.items() if i not in late}
        answer = page(upstream, request)
        upstream.lines["all"] = whole
        return answer

    rig.upstream.always = dated
    await catch_up(rig, polling)
    ended = await done(rig, polling, await begin(rig, until_row=90, until_day="2026-02-01"))
    assert ended.rows == 90 - len(late)
    assert await rig.row_ids(endpoint) == [i for i in range(1, 91) if i not in late]
    counted = await done(rig, polling, await begin(rig, until_row=90, until_day="2026-02-01", dry_run=True))
    assert counted.rows == 90 - len(late)


async def owes(rig: Rig, endpoint: EndpointId, size: int) -> bool:
    return int(await rig.eyes.hget(keys.owed(UK), endpoint) or 0) > size  # type: ignore[misc]


async def test_a_backfill_holds_up_no_other_reading(rig: Rig) -> None:
    """Neither of its own route nor of another one, although all of them share the budget of the source."""
    await rig.source("calls", "goals", batch_size=2)
    polling = rig.poller(changes_s=(900.0,), requests_per_hour=3600)
    rig.upstream.show(*rows(1, 400), route="calls")
    rig.upstream.show(*rows(1001, 1400), route="goals")
    await catch_up(rig, polling, "calls", "goals")
    long = await begin(rig, until_row=400, route="calls", endpoints=())
    rig.clock.advance(3000)
    async with slice_of(polling):
        for _ in range(9):
            requests = len(rig.upstream.requests)
            await until(lambda requests=requests: ticked(rig, requests))
    places = (await rig.readings.load(UK)).of
    read = [places[route]["change.900"].after for route in ("calls", "goals")]
    assert min(read[0], read[1] - 1000) > 0
    assert places["calls"][f"backfill.{long.id}"].rows > 0


async def test_forgotten_rows_are_no_news(rig: Rig) -> None:
    """Their knowledge was shed, and a backfill for nobody meets them: nobody gets them."""
    await rig.source(batch_size=256)
    polling = rig.poller(changes_s=(HOUR, 7 * 24 * HOUR))
    old = await rig.endpoint()
    rig.upstream.show(*rows(1, 2000))
    await catch_up(rig, polling)
    await run(rig, polling, 600)
    kept = Rows(rig.redis, plan=rig.plan, longest_s=30 * 24 * HOUR, most_bytes=60_000)
    for _ in range(3):
        await kept.forget(rig.catalogue.sources[UK], now_ms=rig.clock.at_ms)
    assert await rig.readings.known_from(UK, "t") > 0
    ended = await done(rig, polling, await begin(rig, until_row=1000, endpoints=()))
    assert (ended.state, ended.rows) == ("done", 1000)
    assert len(await rig.row_ids(old)) == 2000


async def test_a_route_that_replaced_another_one_is_told(rig: Rig) -> None:
    """The route that showed its rows first is not polled any more."""
    await rig.source("calls", batch_size=10)
    polling = rig.poller()
    rig.upstream.show(*rows(1, 50), route="calls")
    rig.upstream.show(*rows(1, 50), route="callsGoalsTransactions")
    await catch_up(rig, polling, "calls")
    await rig.source("callsGoalsTransactions", batch_size=10)
    await catch_up(rig, polling, "callsGoalsTransactions")
    new = await rig.endpoint()
    asked = await begin(rig, until_row=50, route="callsGoalsTransactions", endpoints=(new.id,))
    ended = await done(rig, polling, asked)
    assert (ended.state, ended.rows, ended.events) == ("done", 50, 50)
    assert sorted(map(int, await ids(rig, new))) == list(range(1, 51))


async def test_dead_deliveries_hold_up_no_backfill(rig: Rig) -> None:
    """They count towards what an endpoint keeps, but nobody is to send them."""
    await rig.source(batch_size=10)
    endpoint, polling = await rig.endpoint(), rig.poller(most_bytes=1000)
    rig.upstream.show(*rows(1, 20))
    await catch_up(rig, polling)
    await rig.eyes.delete(keys.lane(UK, endpoint.id))
    assert int(await rig.eyes.hget(keys.owed(UK), endpoint.id) or 0) > 1000  # type: ignore[misc]
    ended = await done(rig, polling, await begin(rig, until_row=10, endpoints=()))
    assert ended.state == "done"
    ended = await done(rig, polling, await begin(rig, until_row=10, endpoints=None))
    assert (ended.state, ended.events) == ("done", 10)


async def test_a_backfill_of_a_route_that_left_fails(rig: Rig) -> None:
    """It says so, and does not wait for ever."""
    await rig.source("calls", "goals")
    polling = rig.poller()
    await catch_up(rig, polling)
    backfill = await begin(rig, until_row=9, route="goals")
    await rig.source("calls")
    rig.clock.advance(11)
    ended = await done(rig, polling, backfill)
    assert (ended.state, ended.error) == ("failed", "the route was removed")


async def test_what_a_backfill_knew_is_forgotten(rig: Rig) -> None:
    """It reads rows that no other reading needs: they are forgotten like all others."""
    await rig.source(batch_size=50, start_row_id=1000)
    polling = rig.poller(changes_s=(HOUR,))
    rig.upstream.show(*rows(1, 900), *rows(1001, 1010))
    await catch_up(rig, polling)
    await done(rig, polling, await begin(rig, until_row=900))
    kept = Rows(rig.redis, plan=rig.plan, longest_s=HOUR, most_bytes=10**9)
    assert await kept.forget(rig.catalogue.sources[UK], now_ms=rig.clock.at_ms) >= 9


async def stored(rig: Rig) -> dict[int, Any]:
    return await rig.events.read(UK, range(1, 2000))


async def test_kept_events_are_delivered_and_not_stored_twice(rig: Rig) -> None:
    """Their deliveries go into the lanes from the events that are kept; those that wait there already stay alone."""
    await rig.source(batch_size=10)
    old, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(*rows(1, 20))
    await catch_up(rig, polling)
    new, kept = await rig.endpoint(), await stored(rig)
    for _ in range(2):
        ended = await done(rig, polling, await begin(rig, until_row=20))
        assert (ended.rows, ended.events) == (20, 20)
    assert await stored(rig) == kept
    assert await ids(rig, new) == await ids(rig, old)
    assert all(len(each) == 1 for each in (await ids(rig, old)).values())


async def test_events_that_retention_dropped_come_back_under_their_ids(rig: Rig) -> None:
    """Dropped or kept, each row is delivered once, with the webhook-id that it had."""
    await rig.source(batch_size=100)
    polling = rig.poller(changes_s=(24 * HOUR,))
    rig.upstream.show(*rows(1, 600))
    await catch_up(rig, polling)
    before = {event.row_id: event.id for event in (await stored(rig)).values()}
    retention = Retention(rig.redis)
    rig.clock.advance(1)
    assert await retention.forget_events(UK, before_ms=rig.clock.at_ms) >= 500
    kept = await stored(rig)
    new = await rig.endpoint()
    ended = await done(rig, polling, await begin(rig, until_row=600, endpoints=(new.id,)))
    assert (ended.rows, ended.events) == (600, 600)
    assert {row_id: found for row_id, (found,) in (await ids(rig, new)).items()} == before
    assert len(await stored(rig)) == 600
    assert kept.items() <= (await stored(rig)).items()


async def test_an_event_that_goes_meanwhile_is_stored_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention may drop it between the look and the delivery."""
    await rig.source()
    polling = rig.poller()
    rig.upstream.show(*rows(1, 5))
    await catch_up(rig, polling)
    new, read = await rig.endpoint(), rig.events.read

    async def dropped(source: Any, numbers: Any) -> Any:
        found = await read(source, numbers)
        await rig.eyes.hdel(keys.events(UK, 0), *map(str, list(found)[:2]))  # type: ignore[misc]
        return found

    monkeypatch.setattr(rig.events, "read", dropped)
    await done(rig, polling, await begin(rig, until_row=5, endpoints=(new.id,)))
    monkeypatch.undo()
    assert await rig.row_ids(new) == [3, 4, 5, 1, 2]


async def test_what_was_given_up_is_listed_no_more(rig: Rig) -> None:
    """A replayed delivery waits again, and leaves the list of undelivered ones."""
    await rig.source()
    endpoint, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(*rows(1, 3))
    await catch_up(rig, polling)
    await give_up(rig, endpoint.id, 2)
    assert len((await rig.books()).dead) == 2
    await done(rig, polling, await begin(rig, until_row=3, endpoints=(endpoint.id,)))
    assert (await rig.books()).dead == []
    assert await rig.row_ids(endpoint) == [3, 1, 2]


async def give_up(rig: Rig, endpoint: EndpointId, count: int) -> None:
    """Claim a lane, and give up its first deliveries."""
    taken = await rig.lanes.exchange(
        UK, [], session="w", turn=1, before=0, now_ms=rig.clock.at_ms, lives_ms=10_000, claim=1, per_lane=count
    )
    (lane,) = taken.given
    dead = [(reference, "used_up") for reference in lane.references]
    handed = HandIn(endpoint=endpoint, leaving="go", dead=dead)
    await rig.lanes.exchange(
        UK, [handed], session="w", turn=2, before=1, now_ms=rig.clock.at_ms, lives_ms=10_000, claim=0, per_lane=0
    )

"""Readings behind the cursor: late rows and changes, hours later, within a budget, whatever happens in between."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from relay.domain.reading.place import Place
from relay.pipeline.polling import Polling
from relay.store import keys
from relay.store.retention import Retention
from relay.store.rows import Rows
from tests.fakes.upstream import FakeUpstream, answer, body, make_row, page, says
from tests.integration.books import read_books
from tests.integration.pipeline.rig import UK, Rig, catch_up, slice_of, until

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def rows(first: int, last: int, **columns: Any) -> list[dict[str, Any]]:
    return [make_row(row_id, **columns) for row_id in range(first, last + 1)]


def shows_row_ids(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
    """An upstream that understands `display[]`."""
    if "display[]" not in request.url.params:
        return page(upstream, request)
    lines = [msgspec.json.encode({"rowId": msgspec.json.decode(line)["rowId"]}) for line in upstream.select(request)]
    return answer(body(lines))


def refuses_row_ids(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
    """One that does not."""
    return (says(400, "Unknown parameter") if "display[]" in request.url.params else page)(upstream, request)


async def run(rig: Rig, polling: Polling, seconds: float, *, step: float = 0) -> None:
    """Let time pass, and poll whatever is due on the way."""
    step = step or (HOUR if seconds >= DAY else 10 * MINUTE)
    ends_ms = rig.clock.at_ms + round(seconds * 1000)
    while rig.clock.at_ms < ends_ms:
        rig.clock.advance(min(step, (ends_ms - rig.clock.at_ms) / 1000))
        await catch_up(rig, polling)


def asked(rig: Rig, since: int = 0, *, kind: str) -> int:
    """How many requests of a kind there were: for new rows, for rowIds behind the cursor, for rows behind it."""
    kinds = {"new": (1, False), "rowIds": (2, True), "rows": (2, False)}
    found = [(len(r.get_list("filter[]")), "display[]" in r) for r in rig.upstream.requests[since:]]
    return found.count(kinds[kind])


@pytest.mark.parametrize("upstream", [shows_row_ids, page, refuses_row_ids])
@pytest.mark.parametrize("late_s", [20 * MINUTE, HOUR, 23 * HOUR])
async def test_a_row_that_comes_hours_late_is_found(rig: Rig, upstream: Any, late_s: float) -> None:
    """Up to the deadline, once, by an upstream that shows rowIds alone, ignores that, or refuses it."""
    await rig.source(batch_size=50)
    endpoint, polling = await rig.endpoint(), rig.poller(gaps_s=DAY)
    rig.upstream.always = upstream
    # Every third rowId is another installation's.
    mine = [make_row(row_id) for row_id in range(1, 301) if row_id % 3]
    late = [make_row(row_id) for row_id in (7, 8, 100, 299)]
    rig.upstream.show(*(row for row in mine if row not in late))
    await catch_up(rig, polling)
    await run(rig, polling, late_s)
    rig.upstream.show(*late)
    await run(rig, polling, DAY * 1.3)
    assert sorted(await rig.row_ids(endpoint)) == sorted(int(row["rowId"]) for row in mine)
    assert rig.upstream.most_in_flight == 1


async def test_a_gap_that_stays_is_absent_in_the_end(rig: Rig) -> None:
    """After the deadline the last probe is past it, and what is known of the rows around is forgotten."""
    await rig.source(batch_size=50)
    polling = rig.poller(gaps_s=DAY)
    await rig.endpoint()
    rig.upstream.always = shows_row_ids
    rig.upstream.show(*rows(1, 900, act="land"))
    await catch_up(rig, polling)
    rig.upstream.show(make_row(2000))
    await run(rig, polling, DAY * 1.3)
    places = (await rig.readings.load(UK)).of["all"]
    assert {name for name, place in places.items() if place.after != 2000} <= {"overlap"}
    kept = Rows(rig.redis, plan=rig.plan, longest_s=DAY, most_bytes=10**9)
    await kept.forget(rig.catalogue.sources[UK], now_ms=rig.clock.at_ms)
    assert await rig.eyes.zcard(keys.seen_buckets(UK, "t")) <= 1
    before = len(rig.upstream.requests)
    await run(rig, polling, DAY)
    assert asked(rig, before, kind="rowIds") == 0, "where no rows come, nothing is probed"


async def test_ranges_without_gaps_are_not_probed(rig: Rig) -> None:
    """What is known of the rows is the ledger: where every rowId is known, nothing is asked."""
    await rig.source(batch_size=1000)
    polling = rig.poller(gaps_s=DAY)
    rig.upstream.always = shows_row_ids
    rig.upstream.show(*rows(1, 1000), *(make_row(row_id) for row_id in range(1001, 1100, 2)), *rows(1100, 3000))
    await catch_up(rig, polling)
    await run(rig, polling, 25 * MINUTE)
    probes = [r.get_list("filter[]") for r in rig.upstream.requests if "display[]" in r]
    # There is no rowId 0, so the first hundred have a gap. So have the second thousand, and the last hundred has only
    # begun.
    assert probes == [[f"rowId-gt-value-{after}", "rowId-le-value-3000"] for after in (0, 1000, 2999)]


async def test_unknown_rows_are_fetched_whole_and_alone(rig: Rig) -> None:
    """A probe shows rowIds; only the stretch from the first to the last unknown one is fetched with all columns."""
    await rig.source(batch_size=1000)
    endpoint, polling = await rig.endpoint(), rig.poller(gaps_s=DAY)
    rig.upstream.always = shows_row_ids
    rig.upstream.show(*(make_row(row_id) for row_id in range(1, 500, 2)))
    await catch_up(rig, polling)
    await run(rig, polling, 15 * MINUTE, step=MINUTE)
    rig.upstream.show(make_row(100), make_row(104))
    before = len(rig.upstream.requests)
    await run(rig, polling, 12 * MINUTE, step=MINUTE)
    whole = [r.get_list("filter[]") for r in rig.upstream.requests[before:] if "display[]" not in r]
    assert ["rowId-gt-value-99", "rowId-le-value-104"] in whole
    assert (await rig.row_ids(endpoint))[-2:] == [100, 104]


async def test_a_change_hours_later_is_told_with_what_was_before(rig: Rig) -> None:
    """A rating two hours after the call, a goal after a day: each is one event, and the rest is none."""
    await rig.source(batch_size=50)
    endpoint, polling = await rig.endpoint(), rig.poller(changes_s=(15 * MINUTE, 2 * HOUR, DAY))
    rig.upstream.show(*rows(1, 120))
    await catch_up(rig, polling)
    await run(rig, polling, HOUR)
    rig.upstream.show(make_row(60, callRating="5"))
    await run(rig, polling, 2 * HOUR)
    rig.upstream.show(make_row(60, callRating="5", goal="7"), make_row(61, visitorPageCount="99"))
    await run(rig, polling, 1.3 * DAY)
    told = [each for each in await rig.waiting(endpoint) if each["revision"] > 1]
    assert [(each["rowId"], each["type"]) for each in told] == [("60", "call.updated"), ("60", "goal.created")]
    assert [each["previous"] for each in told] == [{"callRating": None}, {"goal": None}]
    assert len(await rig.row_ids(endpoint)) == 122


async def test_each_row_is_read_again_once_at_each_distance(rig: Rig) -> None:
    """However long the relay runs: three readings of 40 pages are 120 requests, not more each day."""
    await rig.source(batch_size=50)
    polling = rig.poller(changes_s=(HOUR, 6 * HOUR, DAY), overlap_s=60, every_s=3600)
    rig.upstream.show(*rows(1, 2000))
    await catch_up(rig, polling)
    before = len(rig.upstream.requests)
    await run(rig, polling, 3 * DAY, step=HOUR / 2)
    assert 120 <= asked(rig, before, kind="rows") <= 120 + 45, "the overlap has a page of its own"


async def test_readings_keep_to_their_budget(rig: Rig) -> None:
    """With ten requests an hour, an hour has ten, and the polls for new rows stay as they were."""
    await rig.source(batch_size=10, poll_interval_s=60.0)
    polling = rig.poller(changes_s=(600.0,), overlap_s=1, every_s=10**6, requests_per_hour=10)
    rig.upstream.show(*rows(1, 800))
    await catch_up(rig, polling)
    await run(rig, polling, HOUR)
    before = len(rig.upstream.requests)
    await run(rig, polling, 2 * HOUR, step=MINUTE)
    assert 18 <= asked(rig, before, kind="rows") <= 21
    assert 110 <= asked(rig, before, kind="new") <= 125


async def test_new_rows_do_not_wait_for_readings(rig: Rig) -> None:
    """While there is a lot to read again, a poll that is due goes first, and only one page can be before it."""
    await rig.source(batch_size=5, poll_interval_s=1.0)
    polling = rig.poller(changes_s=(600.0,), gaps_s=DAY, overlap_s=60, requests_per_hour=3_600_000)
    rig.upstream.show(*rows(1, 1500))
    await catch_up(rig, polling)
    rig.clock.advance(601)
    began_ms, late = rig.clock.at_ms, list[float]()

    def ticking(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
        rig.clock.advance(0.2)
        return shows_row_ids(upstream, request)

    rig.upstream.always = ticking
    async with slice_of(polling):
        for _ in range(200):
            due_ms = (await rig.state()).next_poll_at_ms
            await until(lambda due_ms=due_ms: is_polled_after(rig, due_ms))
            late.append((await rig.state()).last_poll_at_ms - due_ms)  # type: ignore[operator]
            if rig.clock.at_ms - began_ms > 18_000:
                break
    assert asked(rig, kind="rows") + asked(rig, kind="rowIds") > 40
    # One page takes 200 ms. The first poll was due ten minutes before.
    assert max(late[1:]) <= 450


async def is_polled_after(rig: Rig, due_ms: int) -> bool:
    if (await rig.state()).last_poll_at_ms >= due_ms:  # type: ignore[operator]
        return True
    rig.clock.advance(0.01)
    return False


async def test_a_reading_continues_after_a_kill(rig: Rig) -> None:
    """Whichever page a poller dies at, another one reads on from there, and the late row is found once."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*(make_row(row_id) for row_id in range(1, 400) if row_id not in (201, 399)))
    await catch_up(rig, rig.poller(changes_s=(HOUR,)))
    rig.upstream.show(make_row(201))
    rig.clock.advance(2 * HOUR)
    for _ in range(60):
        task = asyncio.create_task(rig.poller(changes_s=(HOUR,)).slice(UK))
        before = len(rig.upstream.requests)
        await until(lambda before=before: has_read(rig, before + 2))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await rig.eyes.delete(keys.lease(UK))
        if (await place(rig, "change.3600")).after == 398:
            break
        rig.clock.advance(1)
    assert (await place(rig, "change.3600")).after == 398
    assert (await rig.row_ids(endpoint)).count(201) == 1
    assert asked(rig, kind="rows") < 150


async def has_read(rig: Rig, requests: int) -> bool:
    return len(rig.upstream.requests) > requests or (await place(rig, "change.3600")).after == 398


async def place(rig: Rig, name: str, route: str = "all") -> Place:
    return (await rig.readings.load(UK)).of[route][name]


async def test_a_cursor_that_is_moved_back_takes_readings_with_it(rig: Rig) -> None:
    """What the cursor passes again is read again by all of them."""
    await rig.source(batch_size=100)
    endpoint, polling = await rig.endpoint(), rig.poller(changes_s=(HOUR,))
    rig.upstream.show(*rows(1, 100))
    await catch_up(rig, polling)
    await run(rig, polling, 2 * HOUR)
    assert (await place(rig, "change.3600")).after == 100
    await rig.routes.move(UK, "all", 40, now_ms=rig.clock.at_ms)
    rig.clock.advance(11)
    await catch_up(rig, polling)
    assert (await place(rig, "change.3600")).after == 40
    rig.upstream.show(make_row(50, callRating="1"))
    await run(rig, polling, 2 * HOUR)
    assert [(each["rowId"], each["revision"]) for each in (await rig.waiting(endpoint))[100:]] == [("50", 2)]


async def test_rows_that_a_cursor_skips_stay_skipped(rig: Rig) -> None:
    """A cursor that is moved ahead by hand leaves out the rows between, also for readings."""
    await rig.source(batch_size=100)
    endpoint, polling = await rig.endpoint(), rig.poller(changes_s=(HOUR,), gaps_s=DAY)
    rig.upstream.show(*rows(1, 10))
    await catch_up(rig, polling)
    await rig.routes.move(UK, "all", 50, now_ms=rig.clock.at_ms)
    rig.upstream.show(*rows(11, 60))
    await run(rig, polling, 1.5 * DAY)
    assert await rig.row_ids(endpoint) == [*range(1, 11), *range(51, 61)]


async def test_a_route_that_left_leaves_no_reading_behind(rig: Rig) -> None:
    """One that is added again begins behind the newest row, and so do its readings."""
    polling = rig.poller(changes_s=(HOUR,))
    await rig.source("calls", "goals")
    rig.upstream.show(*rows(1, 10), route="goals")
    await catch_up(rig, polling)
    await rig.source("calls")
    rig.clock.advance(11)
    await catch_up(rig, polling)
    assert set((await rig.readings.load(UK)).of) == {"calls"}
    await rig.source("calls", "goals")
    await catch_up(rig, polling)
    assert (await place(rig, "change.3600", "goals")).after == 10


async def test_readings_follow_the_settings(rig: Rig) -> None:
    """A distance that is new begins where it would be by now, and one that is not set any more is forgotten."""
    await rig.source()
    polling = rig.poller(changes_s=(HOUR,))
    for first in range(1, 50, 10):
        rig.upstream.show(*rows(first, first + 9))
        await catch_up(rig, polling)
        await run(rig, polling, HOUR)
    await catch_up(rig, rig.poller(changes_s=(2.5 * HOUR,)))
    rig.clock.advance(61)
    await catch_up(rig, rig.poller(changes_s=(2.5 * HOUR,)))
    assert set((await rig.readings.load(UK)).of["all"]) == {"overlap", "change.9000"}
    assert (await place(rig, "change.9000")).after in (20, 30)


async def test_history_is_not_read_again(rig: Rig) -> None:
    """Of a backlog of years, only the pages whose newest row is younger than the longest distance are followed."""
    await rig.source(batch_size=10)
    polling = rig.poller(changes_s=(HOUR, 7 * DAY), gaps_s=DAY)
    recent = "2026-09-18 10:00:00"
    rig.upstream.show(*rows(1, 95, triggerDatetime="2024-02-01 00:00:00"))
    # A sale that the CRM reported late is old, on a page of new rows.
    rig.upstream.show(*rows(96, 100, triggerDatetime=recent), make_row(99, triggerDatetime="2023-01-01 00:00:00"))
    rig.upstream.show(*rows(101, 120, triggerDatetime=recent))
    await catch_up(rig, polling)
    places = (await rig.readings.load(UK)).of["all"]
    assert {places[name].after for name in ("change.3600", "change.604800")} == {90}
    assert {place.after for name, place in places.items() if name.startswith("gap.")} == {120}


async def test_too_many_known_rows_are_forgotten_and_said(rig: Rig) -> None:
    """The readings leave out what is not known any more, so nothing comes twice, and the operator can see which."""
    await rig.source(batch_size=100)
    endpoint, polling = await rig.endpoint(), rig.poller(changes_s=(HOUR,))
    rig.upstream.show(*rows(1, 1000))
    await catch_up(rig, polling)
    kept = Rows(rig.redis, plan=rig.plan, longest_s=DAY, most_bytes=5 * 3_500)
    for _ in range(2):
        await kept.forget(rig.catalogue.sources[UK], now_ms=rig.clock.at_ms)
    assert await rig.eyes.zcard(keys.seen_buckets(UK, "t")) <= 6
    rig.upstream.show(make_row(999, callRating="3"), make_row(10, callRating="3"))
    await run(rig, polling, 2 * HOUR)
    ids = await rig.row_ids(endpoint)
    assert (len(ids), ids[-1]) == (1001, 999)
    (cut,) = [each for each in await rig.operations.page(limit=9) if each.kind == "reading.cut"]
    assert (cut.data["reading"], cut.data["afterRowId"]) == ("change.3600", "0")
    assert 400 < int(cut.data["untilRowId"]) < 600


async def test_a_clock_that_is_set_back_stops_no_reading(rig: Rig) -> None:
    """A page that was due in an hour by the old clock is due within its interval by the new one."""
    await rig.source()
    polling = rig.poller(changes_s=(HOUR,))
    rig.upstream.show(*rows(1, 10))
    await run(rig, polling, 3 * HOUR)
    rig.upstream.show(*rows(11, 20))
    rig.clock.advance(-10 * DAY)
    await catch_up(rig, polling)
    await run(rig, polling, 2 * HOUR)
    assert (await place(rig, "change.3600")).after == 20


@pytest.mark.parametrize("status", [500, 429])
async def test_a_reading_that_fails_waits_and_keeps_nobody(rig: Rig, status: int) -> None:
    """It backs off by itself. Polls go on as they are, unless the upstream asks for a pause."""
    await rig.source()
    endpoint, polling = await rig.endpoint(), rig.poller(changes_s=(600.0,), overlap_s=1, every_s=10**6)
    rig.upstream.show(*rows(1, 5))
    await catch_up(rig, polling)
    headers = {"retry-after": "40"} if status == 429 else {}

    def fails(upstream: FakeUpstream, request: httpx.Request) -> httpx.Response:
        is_behind = len(request.url.params.get_list("filter[]")) > 1
        return (says(status, "no", **headers) if is_behind else page)(upstream, request)

    rig.upstream.always = fails
    rig.clock.advance(800)
    await catch_up(rig, polling)
    assert (await place(rig, "change.600")).failures == 1, "it waits, and is not tried again at once"
    state = await rig.state()
    assert "no" in (state.last_error or "")
    assert state.state == ("failing" if status == 429 else "polling")
    rig.upstream.always = page
    rig.clock.advance(41)
    rig.upstream.show(make_row(6))
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [1, 2, 3, 4, 5, 6]
    assert (await place(rig, "change.600")).failures == 0


async def test_a_change_is_told_with_what_was_before_also_after_the_retention(rig: Rig) -> None:
    """The events of the first day are gone by then; what the rows were is kept until the last reading."""
    await rig.source(batch_size=300)
    endpoint, polling = await rig.endpoint(), rig.poller(changes_s=(7 * DAY,), overlap_s=60)
    rig.upstream.show(*rows(1, 300))
    await catch_up(rig, polling)
    await rig.eyes.hset(keys.references(UK), mapping={"0": 0, "1": 0})  # type: ignore[misc]
    rig.clock.advance(2 * DAY)
    rig.upstream.show(*rows(301, 900))
    await catch_up(rig, polling)
    now_ms = rig.clock.at_ms
    week_ago_ms = now_ms - round(8 * DAY * 1000)
    assert await Retention(rig.redis).forget_events(UK, before_ms=now_ms - 1, past_from_ms=week_ago_ms) > 200
    rig.upstream.show(make_row(60, callRating="5"))
    await run(rig, polling, 7 * DAY, step=DAY / 2)
    references = (await read_books(rig.eyes, UK)).waiting[endpoint.id]
    (told,) = await rig.told(references[-1:])
    assert (told["rowId"], told["type"], told["previous"]) == ("60", "call.updated", {"callRating": None})

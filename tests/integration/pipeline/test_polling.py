"""Polling, with a fake upstream and the real store: the hazards of infinity-api.md 11, one by one."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from relay.domain.model import ApiKeyAuth, SourceUid
from relay.errors import StoreUnavailable
from relay.pipeline.polling import Polling
from relay.store import keys
from tests.fakes.upstream import FakeUpstream, body, cut, make_row, page, refuses_above, says, shuffled
from tests.fakes.upstream import answer as answered
from tests.integration.pipeline.rig import UK, Rig, catch_up, has_nothing_to_do, slice_of, time_brings, until
from tests.patience import PATIENCE_S


def rows(first: int, last: int, **columns: Any) -> list[dict[str, Any]]:
    return [make_row(row_id, **columns) for row_id in range(first, last + 1)]


async def test_a_backlog_is_read_to_its_end(rig: Rig) -> None:
    """Page after page in order until one is empty: each row is one event, and the cursor is the last rowId."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 35))
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == list(range(1, 36))
    state = await rig.state()
    assert (state.cursor, state.state, state.failures) == (35, "polling", 0)
    assert state.caught_up_at_ms == rig.clock.at_ms


async def test_what_is_asked(rig: Rig) -> None:
    """The request is the one of design.md 4: sorted, behind the cursor, without dates, time zone or offset (H18)."""
    await rig.source(batch_size=10)
    rig.upstream.show(*rows(1, 12))
    await catch_up(rig, rig.poller())
    asked = [dict(request) for request in rig.upstream.requests]
    assert asked == [
        {"format": "json", "limit": "10", "sort[]": "rowId-asc", "filter[]": f"rowId-gt-value-{cursor}"}
        for cursor in (0, 10, 12)
    ]
    assert rig.upstream.most_in_flight == 1


async def test_a_route_starts_behind_the_newest_row(rig: Rig) -> None:
    """Without a startRowId nobody gets history: the first event is the first row that comes."""
    await rig.source(start_row_id=None)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 50))
    polling = rig.poller()
    await catch_up(rig, polling)
    assert (await rig.state()).cursor == 50
    rig.upstream.show(*rows(51, 52))
    rig.clock.advance(11)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [51, 52]


@pytest.mark.parametrize("when", ["between two slices", "within a slice"])
async def test_a_clock_that_is_set_back_stops_no_poll(rig: Rig, when: str) -> None:
    """When it was to be asked next is not known any more: it is asked at once, and not in an hour and a minute."""
    await rig.source(poll_interval_s=4.0)
    endpoint = await rig.endpoint()
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.show(make_row(1))
    if when == "within a slice":
        rig.clock.advance(2)
        async with slice_of(polling) as task:
            await until(lambda: rig.eyes.exists(keys.lease(UK)))
            await asyncio.sleep(0.05)
            rig.clock.advance(-3600)
            # It ends, and the next one begins with what the clock says now.
            await task
        assert UK in (await rig.routes.take_due(now_ms=rig.clock.at_ms)).sources
    else:
        rig.clock.advance(-3600)

    async def came() -> bool:
        return await rig.row_ids(endpoint) == [1]

    async with slice_of(polling):
        await until(came)


async def test_a_route_starts_at_start_row_id(rig: Rig) -> None:
    """The row of that id is the first one."""
    await rig.source(start_row_id=20)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 25))
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == [20, 21, 22, 23, 24, 25]


async def test_a_route_without_rows_starts_at_nothing(rig: Rig) -> None:
    """An empty list is no fault: its first row will be its first event."""
    await rig.source(start_row_id=None)
    endpoint = await rig.endpoint()
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.show(make_row(3))
    rig.clock.advance(11)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [3]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says(200, "Something went wrong"), id="H2 message with 200"),
        pytest.param(says(500, "Internal error"), id="500"),
        pytest.param(says(429, "Slow down", retry_after="1"), id="H29 429"),
        pytest.param(cut(30), id="H4 no line arrived whole"),
        pytest.param(lambda _u, _r: answered(b"rowId,act\n1,call\n"), id="H5 csv"),
        pytest.param(lambda _u, _r: answered(b"[]"), id="H3 an array"),
        pytest.param(lambda _u, _r: answered(status=302, headers={"location": "/x"}), id="redirect"),
    ],
)
async def test_an_answer_that_is_no_page_moves_nothing(rig: Rig, answer: Any) -> None:
    """It is neither rows nor the end of them: the cursor stays, the route says what is wrong, and asks again later."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(1))
    rig.upstream.amiss.append(answer)
    polling = rig.poller()
    async with slice_of(polling):
        await until(lambda: len(rig.upstream.requests) == 1 and not rig.upstream.in_flight)
        await until(lambda: failed(rig))
        state = await rig.state()
        assert (state.cursor, state.failures, state.caught_up_at_ms) == (0, 1, None)
        assert state.last_error
        assert len(rig.upstream.requests) == 1
        await time_brings(rig, lambda: caught_up(rig), step_s=2)
    assert await rig.row_ids(endpoint) == [1]
    assert ((await rig.state()).failures, (await rig.state()).last_error) == (0, None)


async def failed(rig: Rig) -> bool:
    return (await rig.state()).state == "failing"


async def caught_up(rig: Rig) -> bool:
    return (await rig.state()).caught_up_at_ms == rig.clock.at_ms


async def test_failures_space_the_requests_out(rig: Rig) -> None:
    """After each failure in a row the wait doubles: an upstream in trouble is not hammered (H29)."""
    await rig.source()
    rig.upstream.always = says(503)
    polling = rig.poller()
    waits = []
    async with slice_of(polling):
        for failures in range(1, 5):
            await until(lambda failures=failures: has_failed(rig, failures))
            state = await rig.state()
            waits.append(state.next_poll_at_ms - rig.clock.at_ms)
            rig.clock.at_ms = state.next_poll_at_ms
    assert waits == [750, 1500, 3000, 6000]


async def has_failed(rig: Rig, failures: int) -> bool:
    return (await rig.state()).failures == failures


async def test_a_retry_after_is_obeyed(rig: Rig) -> None:
    """What the upstream asks for is what it gets (H29)."""
    await rig.source()
    rig.upstream.amiss.append(says(429, "Slow down", retry_after="17"))
    async with slice_of(rig.poller()):
        await until(lambda: failed(rig))
    assert (await rig.state()).next_poll_at_ms == rig.clock.at_ms + 17_000


async def test_a_cut_page_counts_as_far_as_it_came(rig: Rig) -> None:
    """Whole lines are taken, the torn one is asked for again, and the page is not taken for the last (H4)."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 8))
    rig.upstream.amiss.append(cut(30))
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == list(range(1, 9))


async def test_a_short_page_is_not_the_end(rig: Rig) -> None:
    """Only an empty page is: an upstream that gives less than was asked for hides nothing (H4)."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 9))

    def three(upstream: FakeUpstream, request: Any) -> Any:
        return answered(body(upstream.select(request)[:3]))

    rig.upstream.amiss.extend([three, three])
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == list(range(1, 10))


async def test_an_upstream_that_does_not_sort_loses_nothing(rig: Rig) -> None:
    """Pages in disorder, however often: every row becomes one event, and the route says what is wrong (H6)."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 45))
    rig.upstream.always = shuffled
    await catch_up(rig, rig.poller())
    assert sorted(await rig.row_ids(endpoint)) == list(range(1, 46))
    assert (await rig.state()).cursor == 45


async def test_a_limit_that_is_refused_is_halved(rig: Rig) -> None:
    """The route asks for less until it gets something, and remembers it (H7)."""
    await rig.source(batch_size=40)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 12))
    rig.upstream.always = refuses_above(10)
    polling = rig.poller()
    async with slice_of(polling):
        await until(lambda: has_limit(rig, 20))
        await time_brings(rig, lambda: has_limit(rig, 10), step_s=1)
        await time_brings(rig, lambda: caught_up(rig), step_s=1)
    assert await rig.row_ids(endpoint) == list(range(1, 13))
    assert [request["limit"] for request in rig.upstream.requests] == ["40", "20", "10", "10", "10"]


async def test_a_larger_limit_is_tried_again(rig: Rig) -> None:
    """Rarely, and a refusal costs a request and no row. Once the upstream allows more, the limit rises again."""
    await rig.source(batch_size=40)
    endpoint, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(*rows(1, 12))
    rig.upstream.always = refuses_above(10)
    async with slice_of(polling):
        await until(lambda: has_limit(rig, 20))
        await time_brings(rig, lambda: has_limit(rig, 10), step_s=1)
        await time_brings(rig, lambda: caught_up(rig), step_s=1)
    for allowed, asked, left in ((10, ["20", "10"], 10), (99, ["20", "40"], None)):
        rig.upstream.always = refuses_above(allowed)
        rig.upstream.show(*rows(13, 16 if allowed == 10 else 20))
        rig.upstream.requests.clear()
        rig.clock.advance(6 * 3600)
        await catch_up(rig, polling)
        forward = [each["limit"] for each in rig.upstream.requests if len(each.get_list("filter[]")) == 1]
        assert forward[:2] == asked
        assert (await rig.state()).limit == left
        assert (await rig.state()).failures == 0
    assert await rig.row_ids(endpoint) == list(range(1, 21))


async def has_limit(rig: Rig, limit: int) -> bool:
    return (await rig.state()).limit == limit


async def test_a_limit_that_is_always_refused_is_a_failure(rig: Rig) -> None:
    """When there is nothing left to halve the route backs off, forward and in the overlap alike."""
    await rig.source(batch_size=2)
    rig.upstream.show(*rows(1, 3))
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.always = refuses_above(0)
    rig.clock.advance(130)
    async with slice_of(polling):
        await until(lambda: failed(rig))
        await asyncio.sleep(0.05)
    assert len(rig.upstream.requests) <= 4
    assert (await rig.state()).limit is None


async def test_late_rows_are_found(rig: Rig) -> None:
    """A row that becomes visible behind the cursor is found by the overlap, and is one event (H11)."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 10), *rows(14, 30))
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.show(*rows(11, 13))
    rig.clock.advance(70)
    await catch_up(rig, polling)
    rig.clock.advance(70)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [*range(1, 11), *range(14, 31), 11, 12, 13]
    assert (await rig.state()).cursor == 30
    asked = [request.get_list("filter[]") for request in rig.upstream.requests]
    assert ["rowId-gt-value-0", "rowId-le-value-30"] in asked


async def test_the_overlap_ends(rig: Rig) -> None:
    """What lies further back than the overlap's time is read no more."""
    await rig.source(batch_size=10)
    rig.upstream.show(*rows(1, 30))
    polling = rig.poller(overlap_s=100.0)
    await catch_up(rig, polling)
    rig.clock.advance(250)
    await catch_up(rig, polling)
    before = len(rig.upstream.requests)
    rig.clock.advance(70)
    await catch_up(rig, polling)
    assert [dict(request)["filter[]"] for request in rig.upstream.requests[before:]] == ["rowId-gt-value-30"]


async def test_changed_rows_are_told_once(rig: Rig) -> None:
    """A change is an `updated` of what the row was and a `created` of what it became; a volatile one is none (H14)."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(1), make_row(2))
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.show(make_row(1, visitorPageCount="4"), make_row(2, goal="7", callDuration="62"))
    for _ in range(3):
        rig.clock.advance(70)
        await catch_up(rig, polling)
    told = await rig.waiting(endpoint)
    assert [(each["rowId"], each["type"], each["revision"]) for each in told] == [
        ("1", "call.created", 1),
        ("2", "call.created", 1),
        ("2", "goal.created", 2),
    ]
    assert told[2]["classes"] == ["goal", "call", "touch_point", "trigger"]
    assert told[2]["previous"] == {"callDuration": 61, "goal": None}


async def test_one_row_on_several_routes_is_one_event(rig: Rig) -> None:
    """Whichever route shows it first, with whatever columns: no second event, and no update (H15)."""
    await rig.source("calls", "goals", "all")
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(1, goal="3"), make_row(2), route="calls")
    rig.upstream.show(
        make_row(1, goal="3", goalTitle="Sale", extra="yes"), make_row(5, act="goal", goal="4"), route="goals"
    )
    rig.upstream.show(make_row(1, goal="3"), make_row(2), make_row(5, act="goal", goal="4"), make_row(6), route="all")
    polling = rig.poller()
    await catch_up(rig, polling)
    for _ in range(2):
        rig.clock.advance(70)
        await catch_up(rig, polling)
    assert sorted(await rig.row_ids(endpoint)) == [1, 2, 5, 6]


async def test_a_row_twice_in_a_page_is_one_event(rig: Rig) -> None:
    """Rows repeat, up to a page full of one: none is doubled, and the route does not stall (H16, H17)."""
    await rig.source(batch_size=4)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 9))

    def doubled(upstream: FakeUpstream, request: Any) -> Any:
        lines = [line for line in upstream.select(request) for _ in range(3)]
        return answered(body(lines[: int(request.url.params["limit"])]))

    rig.upstream.always = doubled
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == list(range(1, 10))


async def test_a_broken_line_stops_nothing(rig: Rig) -> None:
    """It is kept, counted and shown, once; the rows behind it go on, and the notes fault is mended (H1)."""
    await rig.source(batch_size=10)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 6))
    rig.upstream.show_line(3, b'{"rowId":"3","act":"call","callDuration":')
    rig.upstream.show_line(
        5, b'{"rowId":"5","act":"call","notes":"[{"note":"said "no"","createDatetime":"2026-11-24 10:00:00"}]"}'
    )
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.clock.advance(70)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [1, 2, 4, 5, 6]
    aside = await rig.routes.quarantined(UK, 10)
    assert [(line["rowId"], line["route"]) for line in aside] == [("3", "all")]
    assert await rig.routes.quarantined_total(UK) == 1
    assert (await rig.state()).cursor == 6
    rig.upstream.show(make_row(3))
    rig.clock.advance(70)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [1, 2, 4, 5, 6, 3]


async def test_a_page_of_broken_lines_stops_nothing(rig: Rig) -> None:
    """Even when every line of a page is beyond reading, their rowIds are enough to go on."""
    await rig.source(batch_size=3)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 7))
    for row_id in (1, 2, 3):
        rig.upstream.show_line(row_id, b'{"rowId":"%d","act":' % row_id)
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == [4, 5, 6, 7]


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_stop_the_route(rig: Rig, status: int) -> None:
    """One request and no more, until the credentials change (H28)."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(1))
    rig.upstream.always = says(status, "no")
    polling = rig.poller()
    await polling.slice(UK)
    state = await rig.state()
    assert (state.state, state.cursor) == ("stopped", 0)
    assert str(status) in (state.last_error or "")
    for minutes, asked in ((5, 1), (5, 2), (15, 2), (5, 3), (61, 4), (30, 4), (31, 5)):
        rig.clock.advance(60 * minutes)
        await polling.slice(UK)
        assert len(rig.upstream.requests) == asked, "rarely: after 10 minutes, 20, 40, and then each hour"
    operations = [each for each in await rig.operations.page(limit=9) if each.kind == "source.unauthorized"]
    assert [each.data["route"] for each in operations] == ["all"]
    assert str(status) in operations[0].data["reason"]
    rig.upstream.always = page
    rig.clock.advance(3700)
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [1]
    assert ((await rig.state()).state, (await rig.state()).last_error) == ("polling", None)


@pytest.mark.parametrize("status", [401, 403, 404, 302, 429, 500])
@pytest.mark.parametrize("written", ["another key", "the same key", "resumed"])
async def test_a_source_that_is_written_is_asked_at_once(rig: Rig, written: str, status: int) -> None:
    """Whatever was changed, and why ever the route waits: the operator wants to know whether it works now."""
    key = ApiKeyAuth("key")
    await rig.source(auth=key)
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(1))
    rig.upstream.always = says(status, "no", **{"retry-after": "3000"})
    polling = rig.poller()

    async def failed() -> bool:
        return (await rig.state()).failures == 1

    async with slice_of(polling):
        await until(failed)
    assert len(rig.upstream.requests) == 1
    rig.upstream.always = page
    await rig.source(auth=ApiKeyAuth("other") if written == "another key" else key, times_written=2)

    async def came() -> bool:
        return await rig.row_ids(endpoint) == [1]

    async with slice_of(polling):
        await until(came)


async def test_a_lower_interval_takes_effect_at_once(rig: Rig) -> None:
    """What was to be asked in an hour is asked within the new interval."""
    await rig.source(poll_interval_s=3600.0)
    endpoint = await rig.endpoint()
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.upstream.show(make_row(1))
    rig.clock.advance(20)
    await polling.slice(UK)
    assert await rig.row_ids(endpoint) == []
    await rig.source(poll_interval_s=10.0)

    async def came() -> bool:
        return await rig.row_ids(endpoint) == [1]

    async with slice_of(polling):
        await until(came)


async def test_refused_credentials_stop_one_route_only(rig: Rig) -> None:
    """A key may see one list and not another: the others go on (H28)."""
    await rig.source("calls", "goals")
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(1), route="goals")

    def calls_refused(upstream: FakeUpstream, request: Any) -> Any:
        return (says(403) if request.url.path.endswith("calls") else page)(upstream, request)

    rig.upstream.always = calls_refused
    await catch_up(rig, rig.poller(), "goals")
    assert await rig.row_ids(endpoint) == [1]
    assert (await rig.state("calls")).state == "stopped"


async def test_a_paused_source_is_not_asked(rig: Rig) -> None:
    """Pausing ends the requests, and going on loses nothing."""
    await rig.source(paused=True)
    endpoint = await rig.endpoint()
    rig.upstream.show(make_row(1))
    polling = rig.poller()
    await polling.slice(UK)
    assert rig.upstream.requests == []
    await rig.source()
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [1]


async def test_two_pollers_are_one(rig: Rig) -> None:
    """While one slice works another one of the same source does nothing (H29)."""
    await rig.source()
    rig.upstream.show(make_row(1))
    rig.upstream.gate.clear()
    first, second = rig.poller(), rig.poller()
    async with slice_of(first):
        await until(lambda: rig.upstream.in_flight == 1)
        await second.slice(UK)
        assert len(rig.upstream.requests) == 1
        rig.upstream.gate.set()


async def test_a_poller_that_slept_is_fenced(rig: Rig) -> None:
    """It wakes with an old page after another went on: nothing is doubled, and no cursor goes back (goal G7)."""
    await rig.source(batch_size=5)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 5))
    sleeper, other = rig.poller(), rig.poller()
    rig.upstream.gate.clear()
    task = asyncio.create_task(sleeper.slice(UK))
    await until(lambda: rig.upstream.in_flight == 1)
    await rig.redis.delete(keys.lease(UK))
    asleep, rig.upstream.gate = rig.upstream.gate, asyncio.Event()
    rig.upstream.gate.set()
    rig.upstream.show(*rows(6, 8))
    await catch_up(rig, other)
    # What it had asked for is answered now, as it was then.
    asleep.set()
    await asyncio.wait_for(task, PATIENCE_S)
    assert await rig.row_ids(endpoint) == list(range(1, 9))
    assert (await rig.state()).cursor == 8


async def test_routes_take_turns(rig: Rig) -> None:
    """A route with a long backlog does not keep the others waiting."""
    await rig.source("calls", "goals", batch_size=2)
    rig.upstream.show(*rows(1, 40), route="calls")
    rig.upstream.show(*rows(101, 104), route="goals")
    await catch_up_ticking(rig)
    assert "goals" in rig.upstream.routes[:3]
    assert rig.upstream.routes.index("goals") < 3
    last_goal_page = max(i for i, route in enumerate(rig.upstream.routes[:10]) if route == "goals")
    assert rig.upstream.routes[: last_goal_page + 1].count("goals") == 3
    assert rig.upstream.most_in_flight == 1


async def catch_up_ticking(rig: Rig, **overlap: Any) -> None:
    """Like catch_up, with a clock that moves a little with each request."""
    answer = rig.upstream.always or page

    def ticking(upstream: FakeUpstream, request: Any) -> Any:
        rig.clock.advance(0.05)
        return answer(upstream, request)

    rig.upstream.always = ticking
    await catch_up(rig, rig.poller(**overlap))


async def test_new_rows_do_not_wait_for_the_overlap(rig: Rig) -> None:
    """While many rows before the cursor are read again, those behind it are asked for in between."""
    await rig.source(batch_size=5)
    rig.upstream.show(*rows(1, 60))
    await catch_up(rig, rig.poller())
    before = len(rig.upstream.requests)
    rig.clock.advance(70)
    rig.upstream.show(*rows(61, 80))
    await catch_up_ticking(rig)
    kinds = ["overlap" if len(r.get_list("filter[]")) > 1 else "new" for r in rig.upstream.requests[before:]]
    assert kinds.count("overlap") > 10
    assert kinds[:6].count("new") >= 3


async def test_an_overlap_goes_on_in_the_next_slice(rig: Rig) -> None:
    """A reading that takes longer than a slice is not begun again and again: its end is reached."""
    await rig.source(batch_size=5)
    endpoint = await rig.endpoint()
    rig.upstream.show(*rows(1, 58), *rows(60, 60))
    await catch_up(rig, rig.poller())
    rig.upstream.show(make_row(59))
    rig.clock.advance(70)
    for _ in range(40):
        polling = rig.poller()
        before = len(rig.upstream.requests)
        async with slice_of(polling):
            await until(lambda before=before: len(rig.upstream.requests) > before)
        place = (await rig.readings.load(UK)).of["all"]["overlap"]
        if place.until is None and 59 in await rig.row_ids(endpoint):
            break
    assert 59 in await rig.row_ids(endpoint)


async def test_a_failing_overlap_is_not_hammered(rig: Rig) -> None:
    """Forward pages that succeed do not make the overlap forget that it failed."""
    await rig.source()
    rig.upstream.show(*rows(1, 5))
    polling = rig.poller()
    await catch_up(rig, polling)

    def no_overlap(upstream: FakeUpstream, request: Any) -> Any:
        return (says(500) if len(request.url.params.get_list("filter[]")) > 1 else page)(upstream, request)

    rig.upstream.always = no_overlap
    rig.clock.advance(70)
    before = len(rig.upstream.requests)
    async with slice_of(polling):
        for _ in range(30):
            rig.clock.advance(0.5)
            await until(lambda: has_nothing_to_do(rig))
    overlaps = [r for r in rig.upstream.requests[before:] if len(r.get_list("filter[]")) > 1]
    assert 3 <= len(overlaps) <= 6


async def test_a_source_that_is_deleted_ends_its_slice(rig: Rig) -> None:
    """The slice ends by itself, and the store is left as empty as the deletion made it."""
    await rig.source()
    polling = rig.poller()
    task = asyncio.create_task(polling.slice(UK))
    await until(lambda: caught_up(rig))
    await rig.sources.delete(UK)
    await rig.catalogue.refresh()
    await asyncio.wait_for(task, PATIENCE_S)
    assert UK not in rig.catalogue.sources


async def test_a_slice_ends_in_time(rig: Rig) -> None:
    """After 20 s a slice ends, says when the next one is wanted, and gives its lease back."""
    await rig.source()
    polling = rig.poller()
    task = asyncio.create_task(polling.slice(UK))
    await until(lambda: caught_up(rig))
    rig.clock.advance(21)
    await asyncio.wait_for(task, PATIENCE_S)
    assert await rig.redis.get(keys.lease(UK)) is None
    assert (await rig.routes.take_due(now_ms=rig.clock.at_ms + 10_500)).sources == [UK]


async def test_the_next_slice_takes_over_without_a_gap(rig: Rig) -> None:
    """A slice that is over polls on until the next one asks for its source, and then ends between two requests."""
    await rig.source(poll_interval_s=0.5)
    endpoint = await rig.endpoint()
    enqueued = asyncio.Queue[SourceUid]()

    async def came(rows: int) -> bool:
        return len(await rig.row_ids(endpoint)) == rows

    first, second = rig.poller(), rig.poller()
    slices = [asyncio.create_task(first.slice(UK, hand_on=enqueued.put))]
    await until(lambda: caught_up(rig))
    for row_id in (1, 2):
        rig.clock.advance(20.5)
        assert await asyncio.wait_for(enqueued.get(), PATIENCE_S) == UK
        rig.upstream.show(make_row(row_id))
        await time_brings(rig, lambda: came(row_id), step_s=1)  # noqa: B023
        assert not slices[-1].done()
        slices.append(asyncio.create_task((second if row_id == 1 else first).slice(UK, hand_on=enqueued.put)))
        await asyncio.wait_for(slices[-2], PATIENCE_S)
        asked = len(rig.upstream.requests)
        await time_brings(rig, lambda: len(rig.upstream.requests) > asked, step_s=1)  # noqa: B023
    rig.clock.advance(17)
    await asyncio.sleep(0)
    assert not slices[-1].done()
    rig.clock.advance(9)
    await asyncio.wait_for(slices[-1], PATIENCE_S)  # Nobody asked within 5 s.
    assert enqueued.qsize() <= 1
    assert await rig.redis.get(keys.lease(UK)) is None


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_store_that_goes_away_costs_nothing(rig: Rig, takes_effect: bool) -> None:
    """Whichever command of a slice fails, before or after it took effect: no row is lost, and none is doubled."""
    await rig.source(batch_size=5)
    endpoint = await rig.endpoint()
    polling, faults = rig.poller(), rig.redis.faults
    shown, commands, met = 0, 0, True
    while met:
        rig.upstream.show(*rows(shown + 1, shown + 12))
        shown += 12
        faults.after(commands, takes_effect=takes_effect)
        with suppress(StoreUnavailable):
            await asyncio.wait_for(polling_once(rig, polling), PATIENCE_S)
        met = faults.met > 0
        faults.stop()
        await rig.redis.delete(keys.lease(UK))
        rig.clock.advance(11)
        commands += 1
    assert commands > 10  # A slice that catches up has 14 commands or more.
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == list(range(1, shown + 1))


async def polling_once(rig: Rig, polling: Polling) -> None:
    """A slice that ends when there is nothing to do now."""
    task = asyncio.create_task(polling.slice(UK))
    while not (task.done() or await caught_up(rig)):
        await asyncio.sleep(0.002)
    polling.stopping.set()
    try:
        await task
    finally:
        polling.stopping.clear()


async def test_settings_apply_while_a_slice_runs(rig: Rig) -> None:
    """A route that is added is polled in the same slice: what is new on it comes."""
    await rig.source("calls", poll_interval_s=4.0)
    endpoint = await rig.endpoint()
    polling = rig.poller()
    async with slice_of(polling):
        await until(lambda: route_caught_up(rig, "calls"))
        await rig.source("calls", "goals", poll_interval_s=4.0)
        await until(lambda: route_caught_up(rig, "goals"))
        rig.upstream.show(make_row(1), route="goals")
        await time_brings(rig, lambda: route_is_at(rig, "goals", 1), step_s=5)
    assert await rig.row_ids(endpoint) == [1]


async def route_is_at(rig: Rig, route: str, cursor: int) -> bool:
    return (await rig.state(route)).cursor == cursor


async def route_caught_up(rig: Rig, route: str) -> bool:
    return (await rig.state(route)).caught_up_at_ms is not None


def test_rows_are_as_the_upstream_sends_them() -> None:
    """The fake's rows begin with their rowId, as the real ones do: what is tested is what happens."""
    assert msgspec.json.encode(make_row(7)).startswith(b'{"rowId":"7",')


async def test_a_paused_route_is_not_asked(rig: Rig) -> None:
    """The other routes go on, and so does this one, from its cursor, once it is resumed: at once, within a slice."""
    await rig.source("calls", "goals", poll_interval_s=4.0)
    endpoint, polling = await rig.endpoint(), rig.poller()
    await catch_up(rig, polling)
    await rig.routes.steer(UK, "calls", {"paused": 1})
    rig.upstream.show(make_row(1), route="calls")
    rig.upstream.show(make_row(2), route="goals")
    rig.clock.advance(61)
    async with slice_of(polling):
        await until(lambda: route_is_at(rig, "goals", 2))
        asked = rig.upstream.routes.count("calls")
        assert await rig.row_ids(endpoint) == [2]
        await rig.routes.steer(UK, "calls", {"paused": 0, "next_poll_at_ms": 0})
        await until(lambda: route_is_at(rig, "calls", 1))
    assert asked == 1
    assert await rig.row_ids(endpoint) == [2, 1]


@pytest.mark.parametrize("status", [401, 500])
async def test_a_route_that_waits_is_asked_by_a_call(rig: Rig, status: int) -> None:
    """Whether its credentials were refused or the upstream failed: one request, and it goes on if that succeeds."""
    await rig.source()
    endpoint, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(make_row(1))
    rig.upstream.always = says(status, "no", retry_after="3000")
    async with slice_of(polling):
        await until(lambda: has_failed(rig, 1))
    rig.upstream.always = page
    await rig.routes.steer(UK, "all", {"next_poll_at_ms": 0})
    await catch_up(rig, polling)
    assert await rig.row_ids(endpoint) == [1]
    assert (await rig.state()).failures == 0

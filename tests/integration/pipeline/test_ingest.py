"""Ingest: what it costs to take a page in, and what it does with a store that holds odd things."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from relay.domain.matching import Match, Matcher
from relay.domain.model import Application, Endpoint
from relay.errors import Fenced
from relay.pipeline import judges as judges_module
from relay.pipeline.lines import read_lines
from relay.store import keys, pages
from relay.store.events import pack_event
from relay.store.routes import Token
from tests.fakes.upstream import answer, body, make_row, page
from tests.integration.pipeline.rig import UK, Rig, catch_up


async def take_in(rig: Rig, token: Token, row_ids: Sequence[int], **columns: Any) -> None:
    lines = await read_lines([msgspec.json.encode(make_row(row_id, **columns)) for row_id in row_ids])
    source = rig.catalogue.sources[UK]
    await rig.ingest().take_in(source, "all", lines, row_ids=row_ids, cursor=row_ids[-1], token=token)


async def test_each_row_is_matched_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many steps a page takes; only rows that a commit refused are matched again, and none is packed twice."""
    matched: list[bytes] = []
    packed: list[str] = []

    def match(matcher: Matcher, types: bytes, data: Any) -> list[Match]:
        matched.append(data["rowId"])
        return found(matcher, types, data)

    found = Matcher.match
    monkeypatch.setattr(Matcher, "match", match)
    monkeypatch.setattr(judges_module, "pack_event", lambda event: packed.append(event.id) or pack_event(event))
    monkeypatch.setattr(pages, "LANE_ENTRIES_AT_ONCE", 10)
    await rig.source()
    endpoints = [await rig.endpoint() for _ in range(4)]
    token = await rig.routes.take(UK)
    assert token is not None
    await take_in(rig, token, range(1, 51))
    assert (len(matched), len(packed)) == (50, 50)
    assert await rig.row_ids(endpoints[0]) == list(range(1, 51))
    matched.clear()

    async def subscribe() -> None:
        application = await rig.applications.create(lambda i: Application(id=i, name="late"), now_ms=0)
        endpoints.append(
            await rig.endpoints.create(
                lambda i: Endpoint(id=i, app_id=application.id, url="https://crm.test/"), now_ms=0
            )
        )

    rig.redis.faults.interrupt(5, subscribe, only="commit_page")
    await take_in(rig, token, range(51, 101))
    assert rig.redis.faults.met == 1
    # Two rows of the step that was refused, and the one behind them.
    assert len(matched) == 53
    assert await rig.row_ids(endpoints[0]) == list(range(1, 101))
    assert await rig.row_ids(endpoints[-1]) == list(range(61, 101))


async def test_what_is_damaged_of_rows_stops_no_page(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """A row of which nothing can be read counts as new, under the id that it had; it is said once for each page."""
    await rig.source()
    endpoint = await rig.endpoint()
    rig.upstream.show(*(make_row(row_id) for row_id in range(1, 6)))
    await catch_up(rig, rig.poller())
    for row_id, damage in ((2, b""), (3, b"\xff of a later release"), (4, b"\x01short")):
        await rig.eyes.hset(keys.seen(UK, "t", 0), str(row_id), damage)  # type: ignore[misc]
    rig.clock.advance(61)
    await catch_up(rig, rig.poller())
    told = await rig.waiting(endpoint)
    assert [each["rowId"] for each in told] == ["1", "2", "3", "4", "5", "2", "3", "4"]
    assert [each["id"] for each in told[5:]] == [each["id"] for each in told[1:4]]
    said = [line for line in capsys.readouterr().out.splitlines() if "rows_unreadable" in line]
    assert len(said) == 1
    assert "rows=3" in said[0]


async def test_a_change_is_told_against_the_row_itself(rig: Rig) -> None:
    """An event whose number was given again, to another row, is not what the row was before: nothing is said of it."""
    await rig.source()
    endpoint = await rig.endpoint()
    token = await rig.routes.take(UK)
    assert token is not None
    await take_in(rig, token, [1, 2])
    events = await rig.events.read(UK, [1, 2])
    await rig.eyes.hset(keys.events(UK, 0), "1", pack_event(events[2]))  # type: ignore[misc]
    await take_in(rig, token, [1, 2], callDuration="62")
    told = (await rig.told((await rig.books()).waiting[endpoint.id]))[2:]
    assert [(each["rowId"], each.get("previous")) for each in told] == [("1", None), ("2", {"callDuration": 61})]


@pytest.mark.parametrize(
    "damage",
    [
        (b'"rowId":"2"', b'"rowId":2""'), (b'"data":', b'"daat":'), (b'"classes":[', b'"clasess":['),
        (b'"igrp":1', b'"igrp":2'),
    ],
    ids=["no JSON", "no data", "no classes", "another installation"],
)  # fmt: skip
async def test_an_event_that_says_something_else_is_not_what_a_row_was(rig: Rig, damage: tuple[bytes, bytes]) -> None:
    """If the body before a change is damaged, or another installation's, the change is told without it."""
    await rig.source()
    endpoint, token = await rig.endpoint(), await rig.routes.take(UK)
    assert token is not None
    await take_in(rig, token, [2])
    kept = await rig.eyes.hget(keys.events(UK, 0), "1")  # type: ignore[misc]
    await rig.eyes.hset(keys.events(UK, 0), "1", kept.replace(*damage))  # type: ignore[misc]
    await take_in(rig, token, [2], callDuration="62")
    told = await rig.told((await rig.books()).waiting[endpoint.id][1:])
    assert [(each["trigger"]["callDuration"], "previous" in each) for each in told] == [(62, False)]


async def test_a_change_after_an_adoption_says_what_changed(rig: Rig) -> None:
    """A row whose owner was removed is the next route's, whose digest counts as a state although nobody was told."""
    await rig.source("calls", "all", start_row_id=0)
    endpoint, polling = await rig.endpoint(), rig.poller()
    for route in ("calls", "all"):
        rig.upstream.show(make_row(1, shownBy=route), route=route)
    await catch_up(rig, polling)
    await rig.source("all", start_row_id=0)
    rig.clock.advance(70)
    await catch_up(rig, polling)
    rig.upstream.show(make_row(1, shownBy="all", callDuration="62"), route="all")
    rig.clock.advance(70)
    await catch_up(rig, polling)
    assert (await rig.waiting(endpoint))[-1]["previous"]["callDuration"] == 61


async def test_what_a_poller_of_before_could_not_read_is_not_kept(rig: Rig) -> None:
    """Its source may be another tenant's by now, who would be shown the line."""
    await rig.source()
    before = await rig.routes.take(UK)
    assert before is not None
    await rig.eyes.delete(keys.lease(UK))
    assert await rig.routes.take(UK)
    lines = await read_lines([b'{"rowId":"1","act":"call","callDuration":'])
    with pytest.raises(Fenced):
        await rig.ingest().take_in(rig.catalogue.sources[UK], "all", lines, row_ids=[1], cursor=None, token=before)
    assert await rig.routes.quarantined(UK, 10) == []


async def test_matching_many_large_filters_lets_callbacks_have_their_turn(rig: Rig) -> None:
    """Twenty filters as large as they may be, on a page of rows: other work of the process goes on meanwhile."""
    await rig.source()
    large = {"$or": [{"c_x": {"$in": [str(n * 20 + i) for i in range(20)]}} for n in range(80)]}
    endpoints = [await rig.endpoint(filter=large | {"c_y": {"$ne": str(n)}}) for n in range(20)]
    token = await rig.routes.take(UK)
    assert token is not None
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await take_in(rig, token, range(1, 101), c_x="777")
    counting.cancel()
    assert await rig.row_ids(endpoints[0]) == list(range(1, 101))
    # 100 rows x 20 filters x 243 conditions, 2,000 conditions a turn.
    assert turns > 200


async def test_a_row_with_a_bad_byte_is_an_event_that_says_it_was_repaired(rig: Rig) -> None:
    """Its neighbours' events are as ever, and a row in doubt is all that is set aside."""
    await rig.source()
    endpoint = await rig.endpoint(filter={"repaired": True})
    everything = await rig.endpoint()
    rig.upstream.show(make_row(1), make_row(3))
    rig.upstream.show_line(2, b'{"rowId":"2","act":"call","c_x":"a\tb\xff","c_y":NaN}')
    rig.upstream.show_line(4, b'{"rowId":"4","act":"call","c_x":\'doubt\'}')
    polling = rig.poller()
    await catch_up(rig, polling)
    events = {data["rowId"]: data for data in await rig.waiting(everything)}
    assert {row_id: data.get("repaired") for row_id, data in events.items()} == {"1": None, "2": True, "3": None}
    assert events["2"]["trigger"] == {"rowId": "2", "act": "call", "c_x": "a\tb\ufffd", "c_y": None}
    assert (await rig.row_ids(endpoint), await rig.row_ids(everything)) == ([2], [1, 2, 3])
    assert [line["rowId"] for line in await rig.routes.quarantined(UK, 10)] == ["4"]


async def test_a_bom_at_the_start_of_a_body_marks_its_first_row_as_repaired(rig: Rig) -> None:
    """Something was dropped there; all of the body's rows are events, and none changes when it is read again."""
    await rig.source()
    everything = await rig.endpoint()
    rig.upstream.show(*(make_row(row_id) for row_id in (1, 2, 3)))
    rig.upstream.always = lambda upstream, request: answer(b"\xef\xbb\xbf" + body(upstream.select(request)))
    polling = rig.poller()
    await catch_up(rig, polling)
    rig.clock.advance(70)
    rig.upstream.always = page
    await catch_up(rig, polling)
    events = await rig.waiting(everything)
    assert [(data["rowId"], data.get("repaired")) for data in events] == [("1", True), ("2", None), ("3", None)]
    assert await rig.routes.quarantined(UK, 10) == []


@pytest.mark.parametrize("good", [b'{"rowId":"2","act":"call"}', b'{"act":"call","rowId":"2"}'], ids=["first", "last"])
async def test_a_broken_line_does_not_hide_a_good_one_of_the_same_row(rig: Rig, good: bytes) -> None:
    """Of a rowId that stands twice in a page, the first line that can be read is the row; the other is set aside."""
    await rig.source()
    endpoint = await rig.endpoint()
    token = await rig.routes.take(UK)
    assert token is not None
    lines = await read_lines([b'{"rowId":"2","act":oops}', good, b'{"rowId":"2","act":"land"}'])
    await rig.ingest().take_in(rig.catalogue.sources[UK], "all", lines, row_ids=[2], cursor=2, token=token)
    assert [data["trigger"]["act"] for data in await rig.waiting(endpoint)] == ["call"]
    assert [line["reason"] for line in await rig.routes.quarantined(UK, 10)] == ["the line is not JSON"]


async def test_rows_without_a_proper_rowid_cost_no_neighbour(rig: Rig) -> None:
    """0, negative, a float, blanks, beyond 64 bits: set aside and shown; 2^53+1 keeps its last digit."""
    large = 2**53 + 1
    await rig.source(start_row_id=large - 100)
    endpoint = await rig.endpoint()
    odd = ["0", "-5", "7.0", '"12 "', '" 12"', '"0x1F"', "1e3", "null", "[1]", str(2**63), '"007"', "true"]
    for n, value in enumerate(odd):
        rig.upstream.show_line(large - 50 + n, b'{"rowId":%s,"act":"call"}' % value.encode())
    rig.upstream.show(make_row(large - 60), make_row(large), make_row(large + 1))
    rig.upstream.show_line(large + 2, b'{"rowId":%d,"act":"call"}' % (large + 2))
    await catch_up(rig, rig.poller())
    assert await rig.row_ids(endpoint) == [large - 60, large, large + 1, large + 2]
    shown = await rig.routes.quarantined(UK, 100)
    assert {line["reason"] for line in shown} == {"the row has no rowId from 1 to 2^63-1"}
    assert len(shown) == len(odd)
    assert (await rig.state()).cursor == large + 2

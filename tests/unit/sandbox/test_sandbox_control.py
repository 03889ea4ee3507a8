"""The sandbox's own paths, and how rows appear over time."""

from collections.abc import Callable
from typing import Any

import pytest

from relay.sandbox.config import SandboxConfig
from relay.sandbox.hazards import Hazard, Name
from tests.unit.sandbox.conftest import Sandbox


async def test_rows_appear_at_their_rate_and_end(make_sandbox: Callable[..., Any]) -> None:
    """At ten rows a second there are 21 after two seconds, and no more than were asked for."""
    sandbox = await make_sandbox(rows=30, rate=10.0)
    assert (await sandbox.state())["rows"] == 1
    sandbox.clock.now_s += 2
    state = await sandbox.state()
    assert (state["rows"], state["producing"]) == (21, True)
    sandbox.clock.now_s += 60
    state = await sandbox.state()
    assert (state["rows"], state["producing"]) == (30, False)
    assert state["newestRowId"] == str((await sandbox.ids())[-1])


async def test_stopping_makes_no_more_rows_but_shows_the_late_ones(make_sandbox: Callable[..., Any]) -> None:
    """After a stop only what is pending still comes, so that a checker can wait for the end."""
    sandbox = await make_sandbox(rows=None, rate=10.0, hazards={Name.LATE: Hazard(next=5, seconds=3.0)})
    sandbox.clock.now_s += 1
    state = (await sandbox.http.post("/sandbox/stop")).json()
    assert (state["rows"], state["producing"], state["pending"]) == (6, False, 5)
    sandbox.clock.now_s += 60
    state = await sandbox.state()
    assert (state["rows"], state["pending"]) == (11, 0)


async def test_rows_can_be_added_and_changed(make_sandbox: Callable[..., Any]) -> None:
    """A posted row is there at once; posted again under its rowId it is another version, on other lists."""
    sandbox = await make_sandbox(rows=0)
    first, second = {"rowId": "9", "act": "call", "goal": "0"}, {"rowId": "9", "act": "call", "goal": "11"}
    await sandbox.add(first)
    assert await sandbox.rows("calls") == [first]
    assert await sandbox.rows("goals") == []
    await sandbox.add(second)
    assert await sandbox.rows("goals") == [second]
    await sandbox.add(first)
    assert await sandbox.rows("goals") == []
    assert (await sandbox.shown()) == [{"rowId": "9", "routes": ["calls", "goals"], "versions": [first, second]}]


async def test_an_added_row_can_wait(make_sandbox: Callable[..., Any]) -> None:
    """`visibleAfter` holds a row back for so many seconds and is no column of it."""
    sandbox = await make_sandbox(rows=0)
    await sandbox.add({"rowId": "5", "act": "call", "visibleAfter": 3}, {"rowId": "6", "act": "call"})
    assert await sandbox.ids() == [6]
    sandbox.clock.now_s += 3
    assert await sandbox.rows("calls") == [{"rowId": "5", "act": "call"}, {"rowId": "6", "act": "call"}]


async def test_bytes_of_an_added_row_are_kept(make_sandbox: Callable[..., Any]) -> None:
    """What is posted is served as it stands, also if it is no JSON; the report then shows it as text."""
    sandbox = await make_sandbox(rows=0)
    line = '{"rowId":"5","act" : "call","notes":"[{"note": "x"}]"}'
    await sandbox.http.post("/sandbox/rows", content=line)
    assert (await sandbox.ask("calls")).text == line + "\n"
    assert (await sandbox.shown())[0]["versions"] == [line]


@pytest.mark.parametrize("body", ['{"act":"call"}', '{"rowId":"x"}', "nonsense", '{"rowId":"1","visibleAfter":"soon"}'])
async def test_what_is_no_row_is_refused_as_a_whole(make_sandbox: Callable[..., Any], body: str) -> None:
    """If one line is no row, none is taken in."""
    sandbox = await make_sandbox(rows=0)
    response = await sandbox.http.post("/sandbox/rows", content='{"rowId":"7","act":"call"}\n' + body)
    assert response.status_code == 400
    assert await sandbox.ids() == []


async def test_only_what_was_shown_is_reported(sandbox: Sandbox) -> None:
    """The report names the routes that showed a row; rows that nobody asked for are not in it."""
    assert await sandbox.shown() == []
    calls = await sandbox.rows("calls", "limit=3")
    await sandbox.rows("touchPoints", f"filter[]=rowId-eq-value-{calls[0]['rowId']}")
    charges = await sandbox.rows("itemisedCalls", "limit=1")
    assert await sandbox.shown() == [
        {"rowId": calls[0]["rowId"], "routes": ["calls", "touchPoints"], "versions": [calls[0]]},
        {"rowId": calls[1]["rowId"], "routes": ["calls"], "versions": [calls[1]]},
        {"rowId": calls[2]["rowId"], "routes": ["calls"], "versions": [calls[2]]},
        {"rowId": charges[0]["rowId"], "routes": ["itemisedCalls"], "versions": [charges[0]]},
    ]


async def test_rows_shown_in_part_have_no_version(sandbox: Sandbox) -> None:
    """A request for some columns shows that the row is there, not what it says."""
    rows = await sandbox.rows("calls", "limit=1&display[]=rowId")
    assert await sandbox.shown() == [{"rowId": rows[0]["rowId"], "routes": ["calls"], "versions": []}]


async def test_the_memory_can_be_off(make_sandbox: Callable[..., Any]) -> None:
    """Benchmarks need no report."""
    sandbox = await make_sandbox(rows=10, record_shown=False)
    assert len(await sandbox.rows()) == 10
    assert await sandbox.shown() == []


async def test_requests_are_counted(sandbox: Sandbox) -> None:
    """Tests can see how often the sandbox was asked, refusals included, its own paths not."""
    await sandbox.switch(unavailable={"next": 1})
    await sandbox.ask()
    await sandbox.ask()
    assert (await sandbox.state())["requests"] == 2


def test_rows_without_end_need_a_rate() -> None:
    """Endlessly many at once is refused before it begins."""
    with pytest.raises(ValueError, match="rate"):
        SandboxConfig(rows=None)

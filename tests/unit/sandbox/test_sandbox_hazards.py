"""Every switch shows its hazard, and nothing else."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from relay.sandbox.hazards import Hazard, Hazards, Name, read_switch
from relay.sandbox.lines import decode
from tests.unit.sandbox.conftest import Sandbox

POLL = "format=json&limit=100&sort[]=rowId-asc&filter[]=rowId-gt-value-0"
ALWAYS = Hazard(probability=1.0, seconds=10.0)


async def test_late_rows_become_visible_after_larger_ids(make_sandbox: Callable[..., Any]) -> None:
    """A late row shows up behind a poller that has passed it (hazard H11)."""
    sandbox = await make_sandbox(rows=50, hazards={Name.LATE: Hazard(next=3, seconds=10.0)})
    before = await sandbox.ids()
    assert (len(before), (await sandbox.state())["pending"]) == (47, 3)
    sandbox.clock.now_s += 10
    assert len(await sandbox.ids()) == 50
    assert (await sandbox.state())["pending"] == 0
    assert (await sandbox.ids())[3:] == before


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        (Name.RATED, {"callRating"}),
        (Name.GOAL_GAINED, {"goal", "goalTitle", "goalValue", "goalCurrency"}),
        (Name.NOTE_ADDED, {"notes"}),
        (Name.TRANSCRIBED, {"callTranscription", "transcriptionConfidence"}),
    ],
)
async def test_calls_change_under_the_same_row_id(
    make_sandbox: Callable[..., Any], name: Name, columns: set[str]
) -> None:
    """A rating, goal or note is set later; ids stay, and only these columns change (hazard H14)."""
    sandbox = await make_sandbox(rows=100, hazards={name: ALWAYS})
    before = {row["rowId"]: row for row in await sandbox.rows()}
    sandbox.clock.now_s += 10
    after = {row["rowId"]: row for row in await sandbox.rows()}
    assert before.keys() == after.keys()
    changed = {row_id for row_id, row in before.items() if after[row_id] != row}
    assert changed == {row_id for row_id, row in before.items() if row["act"] == "call"}
    for row_id in changed:
        old, new = before[row_id], after[row_id]
        assert {key for key in new if new[key] != old.get(key)} <= columns


async def test_a_note_is_added_to_those_before_it(make_sandbox: Callable[..., Any]) -> None:
    """Earlier notes stay, the new one stands behind them; a call without any gets its first."""
    sandbox = await make_sandbox(rows=0, hazards={Name.NOTE_ADDED: ALWAYS})
    had = [{"note": "one", "createDatetime": ""}]
    await sandbox.add({"rowId": "1", "act": "call", "notes": json.dumps(had)}, {"rowId": "2", "act": "call"})
    sandbox.clock.now_s += 10
    first, second = (json.loads(row["notes"]) for row in await sandbox.rows())
    assert first[:1] == had
    assert len(first) > 1
    assert second


async def test_a_goal_gained_puts_the_row_on_other_lists(make_sandbox: Callable[..., Any]) -> None:
    """A row that becomes a goal is on `goals` from then on."""
    sandbox = await make_sandbox(rows=100, hazards={Name.GOAL_GAINED: ALWAYS})
    assert not set(await sandbox.ids("calls")) <= set(await sandbox.ids("goals"))
    sandbox.clock.now_s += 10
    assert set(await sandbox.ids("calls")) <= set(await sandbox.ids("goals"))


async def test_rows_vanish(make_sandbox: Callable[..., Any]) -> None:
    """Rows are deleted after a time, from every list (hazard H19)."""
    sandbox = await make_sandbox(rows=30, hazards={Name.DELETED: Hazard(next=5, seconds=10.0)})
    before = await sandbox.ids()
    sandbox.clock.now_s += 10
    assert await sandbox.ids() == before[5:]
    assert not set(await sandbox.ids("callsGoalsTransactions")) & set(before[:5])


async def test_notes_are_printed_without_escapes(make_sandbox: Callable[..., Any]) -> None:
    """The line is no JSON, as on the documentation's page; what it means is known to the checker (hazard H1)."""
    sandbox = await make_sandbox(rows=400, hazards={Name.UNESCAPED_NOTES: Hazard(probability=1.0)})
    clean = await make_sandbox(rows=400)
    broken = [line for line in (await sandbox.ask("all", "limit=9999")).content.splitlines() if b'"[{"note"' in line]
    assert broken
    for line in broken:
        with pytest.raises(json.JSONDecodeError):
            json.loads(line)
    assert [row["versions"] for row in await sandbox.shown()] == [[row] for row in await clean.rows()]
    row_id = decode(broken[0])["rowId"]
    again = await sandbox.ask("all", f"filter[]=rowId-eq-value-{row_id}&display[]=rowId&display[]=notes")
    assert b'"notes":"[{"note"' in again.content


@pytest.mark.parametrize(
    ("name", "status"),
    [("unauthorized", 401), ("forbidden", 403), ("rateLimited", 429), ("serverError", 500), ("unavailable", 503)],
)
async def test_refusals_strike_the_next_responses(sandbox: Sandbox, name: str, status: int) -> None:
    """The next two requests are refused with a bare string, the third is answered (hazards H28, H29)."""
    await sandbox.switch(**{name: {"next": 2, "seconds": 1.5}})
    responses = [await sandbox.ask("calls") for _ in range(3)]
    assert [response.status_code for response in responses] == [status, status, 200]
    assert isinstance(responses[0].json(), str)
    assert responses[0].headers.get("retry-after") == ("2" if status == 429 else None)


async def test_a_message_comes_with_status_200(sandbox: Sandbox) -> None:
    """An error may look like an answer: a bare string and 200 (hazard H2)."""
    await sandbox.switch(message={"next": 1})
    response = await sandbox.ask("all", POLL)
    assert response.status_code == 200
    assert isinstance(response.json(), str)


async def test_a_limit_may_be_refused_below_the_cap(sandbox: Sandbox) -> None:
    """The cap varies: limits above the one that was set are errors (hazard H7)."""
    await sandbox.switch(limitRefused={"probability": 1, "above": 50})
    assert [(await sandbox.ask("all", f"limit={limit}")).status_code for limit in (50, 51)] == [200, 400]


async def test_a_truncated_body_ends_within_a_row(sandbox: Sandbox) -> None:
    """The body breaks off in a row, and only the rows before it count as shown (hazard H4)."""
    await sandbox.switch(truncated={"next": 1})
    response = await sandbox.ask("all", POLL)
    assert response.status_code == 200
    *whole, half = response.content.split(b"\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(half)
    assert [row["versions"][0] for row in await sandbox.shown()] == [json.loads(line) for line in whole]


async def test_a_slow_body_is_whole(sandbox: Sandbox) -> None:
    """A slow body takes its time and lacks nothing."""
    expected = (await sandbox.ask("all", POLL)).content
    await sandbox.switch(slow={"next": 1, "seconds": 0.05})
    response = await sandbox.ask("all", POLL)
    assert response.content == expected
    assert response.elapsed.total_seconds() >= 0.05


async def test_a_page_may_be_in_the_wrong_order(sandbox: Sandbox) -> None:
    """The rows of a page are the right ones in a wrong order (hazard H6)."""
    expected = await sandbox.ids("all", POLL)
    await sandbox.switch(unordered={"next": 1})
    ids = await sandbox.ids("all", POLL)
    assert ids != expected
    assert sorted(ids) == expected


async def test_a_page_may_repeat_its_rows(sandbox: Sandbox) -> None:
    """Rows come twice, and a page of them is not longer than the limit (hazards H16, H17)."""
    expected = await sandbox.ids("all", POLL)
    await sandbox.switch(duplicated={"next": 1})
    ids = await sandbox.ids("all", POLL)
    assert ids == [row_id for row_id in expected[:50] for _ in range(2)]


async def test_personal_data_may_be_redacted(sandbox: Sandbox) -> None:
    """A key may lose its right to personal data: values are hidden, and that is no version of a row (hazard H23)."""
    await sandbox.switch(redacted={"next": 1})
    rows = await sandbox.rows("calls", POLL)
    assert {row["srcPhoneNumber"] for row in rows} == {"REDACTED"}
    shown = await sandbox.shown()
    assert [row["rowId"] for row in shown] == [row["rowId"] for row in rows]
    assert all(row["versions"] == [] for row in shown)


async def test_csv_may_be_the_default(sandbox: Sandbox) -> None:
    """Without `format` the answer may be csv; with it, never (hazard H5)."""
    await sandbox.switch(csvByDefault={"next": 1})
    assert await sandbox.rows("calls", "format=json")
    response = await sandbox.ask("calls", "limit=2")
    assert response.text.startswith("rowId,triggerDatetime,")
    assert len(await sandbox.rows("calls", "limit=2")) == 2


async def test_an_empty_array_may_be_broken(sandbox: Sandbox) -> None:
    """An empty jsonarray may lack its opening bracket, as was seen in 2016 (hazard H3)."""
    await sandbox.switch(brokenEmptyArray={"next": 1})
    response = await sandbox.ask("all", "format=jsonarray&filter[]=rowId-gt-value-999999999999")
    assert response.content == b"\n]\n"


async def test_switches_can_be_seen_and_turned_off(sandbox: Sandbox) -> None:
    """Setting one leaves the others; an empty one is off; the count of `next` goes down."""
    await sandbox.switch(message={"next": 5}, slow={"probability": 0.5})
    await sandbox.ask()
    await sandbox.switch(slow={})
    assert (await sandbox.http.get("/sandbox/hazards")).json() == {"message": {"next": 4}}


@pytest.mark.parametrize("body", ['{"nonsuch": {}}', '{"slow": {"probability": 2}}', '{"slow": {"often": 1}}', "[]"])
async def test_a_switch_that_is_none_is_refused(sandbox: Sandbox, body: str) -> None:
    """A typo must not look like a hazard that never strikes."""
    response = await sandbox.http.post("/sandbox/hazards", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400


def test_dice_follow_from_the_seed() -> None:
    """The same seed strikes the same times, whatever else is switched on; about as often as asked for."""
    alone = Hazards({Name.LATE: Hazard(probability=0.3)}, seed=4)
    beside = Hazards({Name.LATE: Hazard(probability=0.3), Name.SLOW: ALWAYS}, seed=4)
    struck = [alone.strikes(Name.LATE) is not None for _ in range(1000)]
    again = []
    for _ in range(1000):
        beside.strikes(Name.SLOW)
        again.append(beside.strikes(Name.LATE) is not None)
    assert struck == again
    assert 250 < sum(struck) < 350
    assert any(a != b for a, b in pairwise(struck))


def test_switches_of_the_command_line() -> None:
    """The command line says the same as the control path, and what it cannot read is an error."""
    assert read_switch("rateLimited,next=3,seconds=30") == (Name.RATE_LIMITED, Hazard(next=3, seconds=30.0))
    for text in ("nonsuch,next=1", "late,next", "late,probability=2", "late,often=1", ""):
        with pytest.raises(ValueError, match="is no hazard"):
            read_switch(text)

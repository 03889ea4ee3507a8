"""The eleven routes of the page, asked over HTTP."""

import io
import json
import wave
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sandbox.conftest import LISTS, Sandbox

MEMBERS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "all": lambda row: True,
    "calls": lambda row: row["act"] == "call",
    "users": lambda row: row["act"] == "callUser",
    "goals": lambda row: row["goal"] != "0",
    "transactions": lambda row: bool(row.get("txc") or row.get("goalCurrency")) and row["act"] != "callRate",
    "visits": lambda row: row["act"] == "land",
}
MEMBERS["callsGoalsTransactions"] = lambda row: any(MEMBERS[n](row) for n in ("calls", "goals", "transactions"))
MEMBERS["touchPoints"] = lambda row: any(MEMBERS[name](row) for name in ("calls", "goals", "visits"))


@pytest.mark.parametrize("route", MEMBERS)
async def test_each_list_shows_its_rows(sandbox: Sandbox, route: str) -> None:
    """A list is the rows of `all` that belong on it, in ascending order of rowId."""
    expected = [row for row in await sandbox.rows("all") if MEMBERS[route](row)]
    assert 0 < len(expected) <= 400
    assert await sandbox.rows(route) == expected


async def test_a_rating_with_money_is_no_transaction(sandbox: Sandbox) -> None:
    """callRate rows are kept off `transactions`, whatever currency they carry, but not off `goals`."""
    rating = {"rowId": "1", "act": "callRate", "txc": "GBP", "goal": "41"}
    await sandbox.add(rating)
    assert 1 in await sandbox.ids("goals")
    assert 1 in await sandbox.ids("callsGoalsTransactions")
    assert 1 not in await sandbox.ids("transactions")


async def test_itemised_calls_have_ids_of_their_own(sandbox: Sandbox) -> None:
    """Each call has a charge, whose rowId is not the call's; posted charges go there too."""
    charges = await sandbox.rows("itemisedCalls")
    assert len(charges) == len(await sandbox.rows("calls"))
    assert [int(row["rowId"]) for row in charges[:3]] == [4, 7, 10]
    assert all("act" not in row for row in charges)
    call_id = (await sandbox.ids("calls"))[0]
    await sandbox.add({"rowId": str(call_id), "callCharge": "1.000000"})
    assert call_id in await sandbox.ids("itemisedCalls")
    assert call_id in await sandbox.ids("calls")


async def test_several_filters_must_all_hold(sandbox: Sandbox) -> None:
    """Filters are ANDed, with the range of ids too."""
    rows = await sandbox.rows()
    middle = int(rows[200]["rowId"])
    found = await sandbox.rows(
        "all",
        f"limit=9999&filter[]=act-in-value-call,land&filter[]=chType-eqi-value-PPC&filter[]=rowId-le-value-{middle}",
    )
    assert found == [row for row in rows[:201] if row["act"] in {"call", "land"} and row["chType"] == "ppc"]
    assert found


async def test_rows_are_sorted_by_several_fields(sandbox: Sandbox) -> None:
    """The first sort weighs most; numbers are sorted as numbers."""
    rows = await sandbox.rows("calls", "limit=9999&sort[]=callStage-desc&sort[]=callDuration-asc")
    stages = [row["callStage"] for row in rows]
    assert stages == sorted(stages, reverse=True)
    bridged = [int(row["callDuration"]) for row in rows if row["callStage"] == "bridge"]
    assert bridged == sorted(bridged) != sorted(bridged, key=str)


async def test_the_newest_row_is_one_request_away(sandbox: Sandbox) -> None:
    """Descending rowIds and a limit of one show where the list ends."""
    assert await sandbox.ids("all", "sort[]=rowId-desc&limit=1") == (await sandbox.ids())[-1:]


async def test_display_picks_orders_and_renames(sandbox: Sandbox) -> None:
    """Columns come in the order asked for, under their aliases; one that a row lacks is left out."""
    rows = await sandbox.rows("calls", "limit=1&display[]=vid-visitorId&display[]=rowId&display[]=nonsuch")
    assert [list(row) for row in rows] == [["visitorId", "rowId"]]


async def test_dates_are_whole_days_in_the_zone_asked_for(sandbox: Sandbox) -> None:
    """The end date is inclusive, and tz moves the days and the times that are shown (hazards H13, H20)."""
    await sandbox.add(
        {"rowId": "1", "act": "call", "triggerDatetime": "2031-07-01 22:59:59"},
        {"rowId": "2", "act": "call", "triggerDatetime": "2031-07-01 23:00:00"},
        {"rowId": "3", "act": "call", "triggerDatetime": "0000-00-00 00:00:00"},
    )
    first, last = "startDate=2031-07-01", "endDate=2031-07-01"
    assert await sandbox.ids("calls", f"{first}&{last}") == [1, 2]
    assert await sandbox.ids("calls", f"{first}&{last}&tz=Europe/London") == [1]
    rows = await sandbox.rows("calls", "filter[]=rowId-le-value-3&tz=Europe%2FLondon")
    assert [row["triggerDatetime"] for row in rows] == [
        "2031-07-01 23:59:59",
        "2031-07-02 00:00:00",
        "0000-00-00 00:00:00",
    ]


async def test_organisations_and_channels_narrow_a_list(sandbox: Sandbox) -> None:
    """rootOrgId shows an organisation and those beneath it; chType one kind of channel."""
    rows = await sandbox.rows()
    assert await sandbox.rows("all", "limit=9999&rootOrgId=1") == rows
    assert await sandbox.rows("all", "limit=9999&rootOrgId=2") == [row for row in rows if row["orgId"] == "2"]
    assert await sandbox.rows("all", "limit=9999&chType=seo") == [row for row in rows if row["chType"] == "seo"]


async def test_personal_data_is_left_out_on_request(sandbox: Sandbox) -> None:
    """excludePiiData hides who called, and nothing else."""
    plain = await sandbox.rows("calls", "limit=1")
    hidden = await sandbox.rows("calls", "limit=1&excludePiiData=1")
    changed = {name for name in plain[0] if plain[0][name] != hidden[0][name]}
    assert "srcPhoneNumber" in changed
    assert "destPhoneNumber" not in changed


async def test_a_limit_above_the_cap_is_an_error(sandbox: Sandbox) -> None:
    """Asking for too much is refused with a bare string, not cut down (hazards H2, H7)."""
    response = await sandbox.ask("all", "limit=10001")
    assert response.status_code == 400
    assert isinstance(response.json(), str)


async def test_errors_may_come_with_status_200(make_sandbox: Callable[..., Any]) -> None:
    """The real status of a validation error is unknown, so it can be set (hazard H2)."""
    sandbox = await make_sandbox(error_status=200)
    response = await sandbox.ask("all", "sort[]=x-asc")
    assert (response.status_code, response.text.strip()) == (200, '"field x can not be filtered or sorted by"')


async def test_v2_takes_a_users_password_and_v2_1_a_key(sandbox: Sandbox) -> None:
    """Each version takes its own scheme only; without it the answer is 401 `"auth required"`."""
    key = sandbox.http.headers["Authorization"]
    basic = "Basic " + b64encode(b"sandbox:sandbox").decode()
    cases = {
        ("v2.1", key): 200,
        ("v2", basic): 200,
        ("v2.1", basic): 401,
        ("v2", key): 401,
        ("v2.1", "ApiKey wrong"): 401,
        ("v2.1", key.replace("ApiKey", "Bearer")): 401,
        ("v2", "Basic " + b64encode(b"sandbox:wrong").decode()): 401,
        ("v2", "Basic !"): 401,
        ("v2.1", ""): 401,
        ("v3", key): 404,
    }
    for (version, header), status in cases.items():
        response = await sandbox.http.get(
            f"/reports/{version}/igrps/1/triggers/calls", headers={"Authorization": header}
        )
        assert response.status_code == status, (version, header)
        assert status == 200 or response.json() == ("auth required" if status == 401 else "not found")


async def test_another_installation_is_denied(sandbox: Sandbox) -> None:
    """A key that is not for the installation gets 403 `"access denied"` (hazard H28)."""
    response = await sandbox.http.get(LISTS.replace("/1/", "/2/") + "/calls")
    assert (response.status_code, response.json()) == (403, "access denied")


async def test_an_unknown_list_is_not_found(sandbox: Sandbox) -> None:
    """What is no route answers 404 with a bare string."""
    assert (await sandbox.ask("nothing")).status_code == 404
    response = await sandbox.http.get("/reports/v2.1/nothing")
    assert (response.status_code, response.json()) == (404, "not found")


async def test_a_call_that_was_answered_has_a_recording(sandbox: Sandbox) -> None:
    """The recording is a WAV that plays; a call without one answers 404."""
    calls = await sandbox.rows("calls")
    there, missing = (next(row["rowId"] for row in calls if row["rec"] == flag) for flag in "10")
    url = "/reports/v2.1/igrps/1/callRecording"
    response = await sandbox.http.get(f"{url}/{there}")
    assert response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(response.content)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8000, 2000)
    assert (await sandbox.http.get(f"{url}/{missing}")).status_code == 404
    assert (await sandbox.http.get(f"{url}/x")).status_code == 400


async def test_a_visitors_trace_leaves_progress_out(sandbox: Sandbox) -> None:
    """A trace shows one visitor's rows without real-time ones, filtered and sorted as usual."""
    rows = await sandbox.rows()
    vid = next(row["vid"] for row in rows if row["act"] == "call" and row["vid"])
    await sandbox.add({"rowId": "1", "act": "callAlegStop", "vid": vid})
    url = f"/reports/v2.1/igrps/1/visitors/{vid}/triggers"
    traced = [json.loads(line) for line in (await sandbox.http.get(url)).text.splitlines()]
    assert traced == [row for row in rows if row["vid"] == vid]
    called = await sandbox.http.get(f"{url}?filter[]=act-eq-value-call&sort[]=rowId-desc")
    assert {json.loads(line)["act"] for line in called.text.splitlines()} == {"call"}


async def test_rows_of_a_file_are_served_as_they_stand(make_sandbox: Callable[..., Any], tmp_path: Path) -> None:
    """Lines of a file keep every byte, also those that are no JSON, and stand on the lists they belong to."""
    lines = [
        b'{"rowId": "5", "act": "call",  "goal":"0"}\n',
        b'{"rowId":"7","act":"land","notes":"[{"note": "a "quoted" word"}]"}\n',
        b'{"act":"sale","rowId":6,"txc":"GBP"}\n',
    ]
    (tmp_path / "rows.ndjson").write_bytes(b"".join(lines))
    sandbox = await make_sandbox(file=tmp_path / "rows.ndjson", rows=None)
    assert (await sandbox.ask("all")).content == lines[0] + lines[2] + lines[1]
    assert (await sandbox.ask("visits", "filter[]=rowId-gt-value-5")).content == lines[1]
    assert (await sandbox.ask("transactions")).content == lines[2]
    assert (await sandbox.ask("all", "filter[]=act-eq-value-land")).content == lines[1]


async def test_no_rows_are_a_line_break(sandbox: Sandbox) -> None:
    """The end of the backlog is 200 and no row (hazard H3)."""
    response = await sandbox.ask("all", "filter[]=rowId-gt-value-999999999999")
    assert (response.status_code, response.content) == (200, b"\n")

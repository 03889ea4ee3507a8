"""The made rows are those of the upstream's page, in shape and in nature."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from relay.sandbox.charges import charge
from relay.sandbox.columns import CHARGE, SALE, SHARED, VISIT, Row
from relay.sandbox.journeys import ROWS_PER_SECOND, WARM_UP_S, rows
from relay.sandbox.lines import encode


@pytest.fixture(scope="module")
def made() -> list[Row]:
    return list(rows(3, 4000))


def test_the_same_seed_gives_the_same_rows() -> None:
    """Rows are a function of the seed; more of them begin with the same ones."""
    assert list(rows(7, 50)) == list(islice(rows(7), 50)) != list(rows(8, 50))


def test_rows_carry_the_installation_and_first_id_that_were_asked_for() -> None:
    """The installation and the first rowId can be chosen."""
    row = next(rows(1, 1, igrp=42, first_row_id=9_999))
    assert (row["igrp"], row["rowId"]) == ("42", "9999")


def test_ids_grow_and_about_a_third_is_missing(made: list[Row]) -> None:
    """rowIds are unique and ascending, with gaps as in the documented sample (31 %)."""
    ids = [int(row["rowId"]) for row in made]
    assert all(a < b for a, b in pairwise(ids))
    assert 0.25 < 1 - len(ids) / (ids[-1] - ids[0]) < 0.37


def test_times_are_out_of_order(made: list[Row]) -> None:
    """A rowId that is larger may be of an earlier time (hazard H12)."""
    times = [row["triggerDatetime"] for row in made]
    assert sum(a > b for a, b in pairwise(times)) > len(times) / 20


def test_the_made_time_begins_and_runs_as_it_is_told_to() -> None:
    """Ten thousand rows at 60 a second: their landings begin when it was asked for, and take 167 seconds."""
    start, pace = datetime(2026, 6, 1, tzinfo=UTC).replace(tzinfo=None), 60 / ROWS_PER_SECOND
    made = list(rows(3, 10_000, start=start - timedelta(seconds=WARM_UP_S / pace), pace=pace))
    landings = [datetime.fromisoformat(row["triggerDatetime"]) for row in made if row["act"] == "land"]
    assert abs(landings[0] - start) < timedelta(seconds=5)
    assert timedelta(seconds=150) < landings[-1] - landings[0] < timedelta(seconds=185)
    assert [row["rowId"] for row in made] == [row["rowId"] for row in rows(3, 10_000)]


def test_columns_come_in_the_documented_groups(made: list[Row]) -> None:
    """A landing has 98 columns and a leg of a call 77, but for pt_* and c_* ones (hazard H9)."""
    assert (len(SHARED) + len(VISIT), len(SHARED) + len(SALE)) == (98, 77)
    counts = {act: {_documented(row) for row in made if row["act"] == act} for act in ("land", "callBlegStart")}
    assert counts == {"land": {98}, "callBlegStart": {77}}


def test_only_computed_columns_are_no_strings(made: list[Row]) -> None:
    """Values are strings but for `lands` and `ppcAssisted` (hazard H8)."""
    assert {name for row in made for name, value in row.items() if not isinstance(value, str)} == {
        "lands",
        "ppcAssisted",
    }


def test_everything_that_happens_in_a_journey_happens(made: list[Row]) -> None:
    """People land, look, call, are rated and buy; some rows have pass-through and custom columns."""
    acts = Counter(row["act"] for row in made)
    expected = {"land", "page", "call", "callUser", "callBlegStart", "callAlegStop", "callRate", "sale", "SALE"}
    assert expected <= acts.keys()
    assert any(name.startswith("pt_") for row in made for name in row)
    assert any(name.startswith("c_") for row in made for name in row)
    assert any(row["notes"] for row in made)


def test_the_legs_of_a_call_come_before_the_call(made: list[Row]) -> None:
    """Progress rows nearly always precede the call's own row, under the same reference (hazard H26)."""
    at = {(row["txr"], row["act"]): n for n, row in enumerate(made) if row["act"].startswith("call")}
    calls = [txr for txr, act in at if act == "call" and (txr, "callBlegStart") in at]
    assert len(calls) > 100
    assert sum(at[txr, "callBlegStart"] < at[txr, "call"] for txr in calls) > 0.85 * len(calls)


def test_rows_weigh_what_real_ones_weigh(made: list[Row]) -> None:
    """A line has about 2 kB."""
    assert 1700 < sum(len(encode(row)) for row in made) / len(made) < 2300


def test_a_charge_has_the_columns_of_an_itemised_call(made: list[Row]) -> None:
    """24 columns, no `act`, and a price by the minute begun."""
    call = next(row for row in made if row["act"] == "call" and 60 < int(row["bridgeDuration"]) <= 120)
    cost = charge(call, row_id=4)
    assert (tuple(cost), len(cost)) == (CHARGE, 24)
    assert (cost["rowId"], cost["callCharge"], cost["perMinuteCharge"]) == ("4", "0.040000", "0.020000")
    assert cost["dgrpName"] == call["dgrpName"]


def _documented(row: Row) -> int:
    return sum(not name.startswith(("pt_", "c_")) and name != "goalTitle" for name in row)

"""What a row is."""

from pathlib import Path
from typing import Any

import pytest

from relay.domain.classifying import classify
from relay.domain.event_types import names
from relay.domain.normalising import normalise
from relay.domain.parsing import Row, parse_line

DOCUMENTED = Path(__file__).parents[2].joinpath("golden/documented_rows.ndjson").read_bytes().splitlines()

CASES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({}, ("trigger",)),
    ({"act": "page"}, ("trigger",)),
    ({"act": "call"}, ("call", "touch_point", "trigger")),
    ({"act": "CALL"}, ("trigger",)),
    ({"act": "callUser"}, ("call_user", "trigger")),
    ({"act": "callBlegStart"}, ("trigger",)),
    ({"act": "land"}, ("visit", "touch_point", "trigger")),
    ({"act": "page", "goal": "12"}, ("goal", "touch_point", "trigger")),
    ({"act": "page", "goal": 12}, ("goal", "touch_point", "trigger")),
    ({"act": "page", "goal": "0"}, ("trigger",)),
    ({"act": "page", "goal": 0}, ("trigger",)),
    ({"act": "page", "goal": ""}, ("trigger",)),
    ({"act": "page", "goal": None}, ("trigger",)),
    ({"act": "SALE", "txc": "GBP"}, ("transaction", "trigger")),
    ({"act": "SALE", "txc": "", "goalCurrency": "EUR"}, ("transaction", "trigger")),
    ({"act": "SALE", "txc": "", "goalCurrency": None}, ("trigger",)),
    ({"act": "callRate", "txc": "GBP", "goal": "3"}, ("goal", "touch_point", "trigger")),
    ({"act": "call", "goal": "3", "txc": "GBP"}, ("transaction", "goal", "call", "touch_point", "trigger")),
    ({"act": ["call"]}, ("trigger",)),
]


@pytest.mark.parametrize(("row", "classes"), CASES, ids=lambda value: repr(value)[:60])
def test_a_row_is_what_its_own_fields_say(row: dict[str, Any], classes: tuple[str, ...]) -> None:
    """The rules of the documented routes, told from the row, whichever route shows it and whether it has types yet."""
    for route in ("all", "calls", "goals", "callsGoalsTransactions"):
        assert names(classify(row, route=route)) == classes
    assert names(classify(normalise(row), route="all")) == classes


def test_an_itemised_call_is_a_charge_and_nothing_else() -> None:
    """Rows of itemisedCalls have other columns and ids of their own, so they are no triggers."""
    assert names(classify({"act": "call", "goal": "3"}, route="itemisedCalls")) == ("call_charge",)


@pytest.mark.parametrize(
    ("line", "route", "classes"),
    [
        (DOCUMENTED[0], "all", ("visit", "touch_point", "trigger")),
        (DOCUMENTED[1], "all", ("trigger",)),
        (DOCUMENTED[2], "itemisedCalls", ("call_charge",)),
        (DOCUMENTED[3], "itemisedCalls", ("call_charge",)),
    ],
    ids=["land", "callBlegStart", "charge", "no charge"],
)
def test_the_documented_rows_are_classified(line: bytes, route: str, classes: tuple[str, ...]) -> None:
    """The four rows of the API's own page. A leg that starts is no call yet (H26)."""
    row = parse_line(line)
    assert isinstance(row, Row)
    assert names(classify(row.columns, route=route)) == classes

"""What a query string asks for."""

from urllib.parse import quote

import pytest

from relay.sandbox.queries import Query, parse_query
from relay.sandbox.refusals import BadParameter

POLL = "format=json&limit=500&sort[]=rowId-asc&filter[]=rowId-gt-value-7"


def parse(query_string: str) -> Query:
    return parse_query(query_string, cap=10_000, default_limit=1000)


@pytest.mark.parametrize("query_string", [POLL, POLL.replace("[]", "%5B%5D"), POLL.replace("[]", "[0]")])
def test_brackets_may_be_raw_encoded_or_numbered(query_string: str) -> None:
    """All spellings of an array parameter are one (hazard H34), and the polling request is plain."""
    query = parse(query_string)
    assert query == Query(above=7, limit=500, sort=(("rowId", False),), format="json")
    assert query.plain


@pytest.mark.parametrize(
    "query_string",
    [
        "sort[]=rowId-desc",
        "filter[]=act-eq-value-call",
        "offset=1",
        "display[]=rowId",
        "tz=Europe/London",
        "startDate=2026-01-05",
        "format=jsonarray",
        "excludePiiData=1",
    ],
)
def test_everything_else_is_not_plain(query_string: str) -> None:
    """What needs a look into rows does not take the fast path."""
    assert not parse(query_string).plain


def test_bounds_of_row_ids_are_joined() -> None:
    """Several bounds are ANDed, inclusive ones and strict ones."""
    filters = ("gt-value-5", "ge-value-9", "lt-value-40", "le-value-50", "gt-value-2")
    query = parse("&".join(f"filter[]=rowId-{text}" for text in filters))
    assert (query.above, query.until, query.tests) == (8, 39, ())


def test_the_last_of_a_repeated_parameter_counts() -> None:
    """A second `limit` overrides the first (hazard H35)."""
    assert parse("limit=5&limit=9").limit == 9


def test_unknown_parameters_are_left_alone() -> None:
    """Published recipes repeat `igrp` in the query."""
    assert parse("igrp=12&limit=5") == parse("limit=5")


@pytest.mark.parametrize(
    ("query_string", "says"),
    [
        ("limit=10001", "limit 10001 is above the maximum of 10000"),
        ("limit=0", "limit"),
        ("limit=-5", "limit"),
        ("limit=ten", "limit"),
        ("offset=x", "offset"),
        ("tz=Mars/Olympus", "tz"),
        (f"tz={quote('../etc/passwd')}", "tz"),
        ("startDate=2026-02-30", "startDate"),
        ("endDate=20260105", "endDate"),
        ("sort[]=rowId", "sort"),
        ("sort[]=rowId-up", "sort"),
        ("sort[]=c_variant-asc", "c_variant"),
        ("display[]=a-b-c", "display"),
        ("display[]=", "display"),
        ("format=yaml", "format"),
        ("format=csv", "display[]"),
        ("format=xhtml", "display[]"),
        ("rootOrgId=all", "rootOrgId"),
        ("filter[]=rowId-gt", "filter"),
    ],
)
def test_a_bad_parameter_is_named(query_string: str, says: str) -> None:
    """A parameter that makes no sense is refused in words that name it."""
    with pytest.raises(BadParameter, match=says.replace("[", r"\[")):
        parse(query_string)

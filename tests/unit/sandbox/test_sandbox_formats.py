"""The shapes of a body."""

import csv
import io
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.unit.sandbox.conftest import Sandbox

NASTY = {"rowId": "2", "act": "call", "pageTitle": 'a, "b" <c> & d\ne\x01', "t": ""}
COLUMNS = "display[]=rowId&display[]=pageTitle-title&display[]=city"


@pytest.fixture
async def nasty(make_sandbox: Callable[..., Any]) -> Sandbox:
    sandbox: Sandbox = await make_sandbox(rows=0)
    await sandbox.add({"rowId": "1", "act": "call", "city": "Leeds"}, NASTY)
    return sandbox


async def test_jsonarray_is_one_array(nasty: Sandbox) -> None:
    """The whole body is a JSON array of the same rows."""
    response = await nasty.ask("calls", "format=jsonarray")
    assert response.json() == await nasty.rows("calls")
    assert (await nasty.ask("visits", "format=jsonarray")).json() == []


async def test_csv_has_a_heading_and_quotes_what_needs_it(nasty: Sandbox) -> None:
    """The heading has the aliases; commas, quotes and line-breaks survive; a missing column is empty (hazard H31)."""
    response = await nasty.ask("calls", f"format=csv&{COLUMNS}")
    assert response.headers["content-type"].startswith("text/csv")
    assert list(csv.DictReader(io.StringIO(response.text, newline=""))) == [
        {"rowId": "1", "title": "", "city": "Leeds"},
        {"rowId": "2", "title": NASTY["pageTitle"], "city": ""},
    ]


async def test_xml_is_well_formed(nasty: Sandbox) -> None:
    """Rows are elements, columns are elements in them; what XML cannot hold is left out."""
    tree = ElementTree.fromstring((await nasty.ask("calls", "format=xml")).text)
    assert [(row.findtext("rowId"), row.findtext("pageTitle")) for row in tree] == [
        ("1", None),
        ("2", 'a, "b" <c> & d\ne'),
    ]


async def test_xhtml_is_a_table(nasty: Sandbox) -> None:
    """The first row of the table is the heading."""
    tree = ElementTree.fromstring((await nasty.ask("calls", f"format=xhtml&{COLUMNS}")).text)
    cells = [[cell.text for cell in row] for row in tree]
    assert cells == [["rowId", "title", "city"], ["1", None, "Leeds"], ["2", 'a, "b" <c> & d\ne', None]]


async def test_debug_is_for_people(nasty: Sandbox) -> None:
    """One line for each column."""
    response = await nasty.ask("calls", "format=debug&limit=1")
    assert response.headers["content-type"].startswith("text/plain")
    assert "rowId: 1\nact: call\ncity: Leeds\n" in response.text

"""`relay source` shows how far each route is, in the words of the API."""

import argparse
import io

import httpx
import pytest

from relay.cli import source
from relay.cli.client.api import Api
from relay.cli.client.places import Place
from relay.cli.output import Output
from relay.domain.model import Secret

ROUTE = {
    "route": "all", "state": "idle", "freshness": "fresh", "cursor": 7, "lagSeconds": 0.5, "rowsPerMinute": 3.0,
    "failures": 0, "lastError": None,
}  # fmt: skip
SOURCE = {"uid": "main", "routes": ["all"], "paused": False, "routeStates": {"all": ROUTE}}
PLACE = Place(url="https://relay.example", key=Secret("k"), key_from="RELAY_API_KEY")


@pytest.mark.parametrize("step", ["list", "show"])
def test_the_lag_has_its_unit(step: str) -> None:
    """The column has the name that the console and the documents use."""
    answer = {"list": {"data": [SOURCE], "done": True, "iterator": None}, "show": SOURCE}[step]
    shown = io.StringIO()
    with Api(PLACE, httpx.MockTransport(lambda _: httpx.Response(200, json=answer))) as api:
        act = {"list": source._list, "show": source._show}[step]
        act(api, Output(as_json=False, stream=shown), argparse.Namespace(uid="main"))
    head, row = (line.split("\t") for line in shown.getvalue().splitlines()[-2:])
    assert dict(zip(head, row, strict=True))["lag"] == "0.5 s"

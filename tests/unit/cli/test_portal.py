"""`relay portal` prints a link that can be opened, and asks the API for what its options say."""

import argparse
import json
from io import StringIO
from typing import Any

import httpx
import pytest

from relay.cli import portal
from relay.cli.client.api import Api
from relay.cli.client.places import Place
from relay.cli.output import Output
from relay.domain.model import Secret

PLACE = Place(url="https://relay.internal", key=Secret("k"), key_from="RELAY_API_KEY")


def ran(url: str, *arguments: str) -> tuple[str, list[tuple[str, Any]]]:
    """What a command prints, and the paths and bodies of its requests, where the API gives a link."""
    asked: list[tuple[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json={"url": url, "token": "rlp_x"})

    parser = argparse.ArgumentParser()
    portal.add_arguments(parser)
    args = parser.parse_args(arguments)
    said = StringIO()
    with Api(PLACE, httpx.MockTransport(answer)) as api:
        assert args.act(api, Output(as_json=args.json, stream=said), args) == 0
    return said.getvalue(), asked


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("https://relay.example/console/portal/abc", "https://relay.example/console/portal/abc\n"),
        ("/console/portal/abc", "https://relay.internal/console/portal/abc\n"),
    ],
)
def test_the_link_stands_alone(given: str, printed: str) -> None:
    """One line, without the token, so that scripts can use it."""
    said, asked = ran(given, "link", "acme")
    assert said == printed
    assert asked == [("/api/v1/auth/app-portal-access/acme", {})]


def test_options_of_a_link() -> None:
    """They are fields of the request. JSON has the token too."""
    said, asked = ran(
        "/console/portal/abc", "link", "acme", "--expiry", "600", "--read-only", "--session", "s", "--json"
    )
    assert asked[0][1] == {"expiry": 600, "readOnly": True, "sessionId": "s"}
    assert json.loads(said) == {"url": "https://relay.internal/console/portal/abc", "token": "rlp_x"}
    assert ran("/x", "link", "a", "--capabilities", "ViewBase,CreateAttempts")[1][0][1] == {
        "capabilities": ["ViewBase", "CreateAttempts"]
    }


def test_signing_out() -> None:
    """All subscribers of an application, or some."""
    assert ran("/x", "end", "acme", "--yes")[1] == [("/api/v1/auth/app/acme/expire-all", {})]
    assert ran("/x", "end", "acme", "--session", "s", "--yes")[1][0][1] == {"sessionIds": ["s"]}

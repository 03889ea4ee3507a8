"""docs/crm.md: its requests work as they stand, and dry runs show the bodies that the page shows."""

import json
import re
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa

from relay.recipes import recipes

PAGE = (Path(__file__).parents[3] / "docs/crm.md").read_text()
BLOCK = re.compile(r"```(sh|json)\n(.+?)\n```", re.DOTALL)
CALL = re.compile(r"^api (GET|POST|PUT|PATCH) \"?([^ \"]+)\"?(?: '(.+?)')?$", re.DOTALL | re.MULTILINE)


def private_key() -> str:
    """Of a service account, as JSON has it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    return json.dumps(pem)[1:-1]


async def play(http: httpx.AsyncClient, text: str) -> int:
    """Send the requests of a part of the page, and compare the bodies of dry runs. Gives how many there were."""
    sent, body = 0, None
    for kind, block in BLOCK.findall(text):
        if kind == "json":
            assert body == json.loads(block)
            continue
        for method, path, content in CALL.findall(block):
            whole = content.replace("PRIVATE_KEY", private_key()) if "PRIVATE_KEY" in content else content
            headers = {"content-type": "application/json"}
            answer = await http.request(method, f"/{path}", content=whole or None, headers=headers)
            assert answer.is_success, (path, answer.text)
            sent, body = sent + 1, answer.json().get("body")
    return sent


@pytest.mark.parametrize("system", ["HubSpot", "Salesforce"])
async def test_an_agency_gets_from_nothing_to_the_first_call(http: httpx.AsyncClient, system: str) -> None:
    """Each request of the example succeeds, one after the other, and the dry run gives what is shown."""
    (part,) = re.findall(rf"^## From nothing to the first call in {system}\n(.+?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    assert part.count("```json") == 1
    assert await play(http, part) == 6


async def test_the_request_of_each_recipe_works(http: httpx.AsyncClient) -> None:
    """Every recipe has a section, with one request that creates its endpoint."""
    await http.post("/app", json={"name": "Acme", "uid": "acme"})
    sections = dict(re.findall(r"^## ([a-z0-9-]+)\n(.+?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
    assert sections.keys() == recipes().keys()
    for name, section in sections.items():
        assert f'"recipe": "{name}"' in section
        assert await play(http, section) == 1


def test_the_page_says_that_nothing_was_run_against_an_account() -> None:
    """In the beginning, and with each recipe the facts that have no source."""
    assert "**No recipe was run against a live account.**" in PAGE
    assert PAGE.count("**Unconfirmed:**") >= 8

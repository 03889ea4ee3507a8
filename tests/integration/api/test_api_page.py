"""docs/api.md says what is true: its examples run, and its tables are complete."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from svix.api import SvixAsync
from svix.api.errors.http_error import HttpError

from relay.domain.model import SourceUid
from tests.integration.api.storing import Store

KEY = "test-key-0123456789"
PAGE = (Path(__file__).parents[3] / "docs/api.md").read_text()


def blocks(language: str) -> list[str]:
    """The page's examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


async def run(script: str, **variables: str) -> str:
    """What a shell prints; fails where it fails."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "RELAY_ADMIN_KEY": KEY} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, script + err.decode()
    return out.decode()


async def test_the_examples_run_from_the_first_to_the_last(base_url: str, store: Store) -> None:
    """In a shell, with curl, against an API on a real port; the message that is sent again is stored on the way."""
    begin, *examples = blocks("sh")
    uk, message = SourceUid("uk"), ""
    printed = []
    for example in examples:
        if "MSG" in example:
            message = await store(uk, 1, dgrpName="Sales")
        # What the tail shows for a minute on the page, it shows for a second here.
        printed.append(await run(begin + example.replace("seconds=60", "seconds=1"), RELAY=base_url, MSG=message))
    assert message
    assert '"signatures":["v1","v1a"]' in "".join(printed)
    assert "whpk_" in "".join(printed)


async def test_the_client_example_runs(base_url: str, http: httpx.AsyncClient) -> None:
    """As it stands, but for the key and the address."""
    await http.post("/app", json={"name": "CRM", "uid": "crm"})
    (example,) = blocks("python")
    example = example.replace("the key", KEY).replace("http://127.0.0.1:8080", base_url) + "svix._httpx_client.close()"
    await asyncio.to_thread(exec, example, {})
    assert (await http.get("/app/crm/endpoint")).json()["data"][0]["eventTypes"] == ["goal.created"]


async def test_every_path_is_in_the_table(http: httpx.AsyncClient) -> None:
    """Each operation of the API is listed, and none that there is not."""
    listed = {
        (method.lower(), f"/api/v1{path}")
        for methods, path in re.findall(r"`((?:[A-Z]+ )+)(/[^`\s]+)`", PAGE)
        for method in methods.split()
    }
    schema = (await http.get("http://relay/docs/openapi.json")).json()
    there = {(method, path) for path, item in schema["paths"].items() for method in item if path.startswith("/api/v1")}
    assert listed == there


async def test_the_client_has_what_is_said_to_work(svix: SvixAsync) -> None:
    """No name in the table is one that its client does not know."""
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+` ?)+) \|$", PAGE, re.MULTILINE)
    named = [(resource, method) for resource, cell in rows for method in re.findall(r"\w+", cell)]
    assert len(named) >= 30
    of = {
        "endpoint_transformation": svix.endpoint.transformation,
        "message_poller": svix.message.poller,
        "operational_webhook_endpoint": svix.operational_webhook.endpoint,
    }
    assert [name for name in named if not hasattr(of.get(name[0]) or getattr(svix, name[0]), name[1])] == []


async def test_what_is_said_not_to_work_is_refused(svix: SvixAsync, http: httpx.AsyncClient) -> None:
    """With a problem that the client raises, never with an answer that looks like success."""
    await http.put("/app/crm", json={"name": "CRM"})
    await http.put("/app/crm/endpoint/calls", json={"url": "https://crm.example/"})
    for call in (
        svix.message_attempt.expunge_content("crm", "msg_1", "atmpt_1"),
        svix.integration.list("crm"),
    ):
        with pytest.raises(HttpError) as caught:
            await call
        assert caught.value.status_code == 501

"""Keys and URLs that are secrets: receivers get them, and nobody sees them in attempts, logs or traces."""

import httpx
import pytest
from structlog.testing import capture_logs

from relay.api.schemas.attempts import show_attempt
from relay.domain.credentials import EndpointAuth, KeyAuth, SecretUrl
from relay.domain.model import Endpoint
from relay.domain.requests.model import RequestShape
from relay.domain.secret_urls import masked
from relay.store.attempts import Attempts
from tests.fakes.subscribers import Got
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import UK, Rig

CRM = "crm.example.com"
SECRET = "canary+T024BE7LH/X1y2Z3"
IN_URL = "canary-T024BE7LH-X1y2Z3"


def echo(got: Got) -> httpx.Response:
    """A receiver that tells everybody what it was asked."""
    text = f"{got.path} {got.headers}".encode()
    return httpx.Response(500, headers={"location": f"https://{CRM}{got.path}"}, stream=httpx.ByteStream(text))


async def all_said(rig: Rig, endpoint: Endpoint) -> tuple[str, Got]:
    """Send an event, which fails. Gives all that is kept and logged of it, and the request."""
    floor = Dispatching(rig)
    floor.subscribers.answers[CRM] = echo
    await floor.changed()
    with capture_logs() as logs:
        async with floor.worker(schedule=()):
            await floor.rows(1)
            while not await floor.attempts(endpoint):
                await floor.settled()
            await floor.settled()
    (attempt,) = [each for _, each in await Attempts(rig.eyes).of_endpoint(UK, endpoint.id, limit=10)]
    (event,) = (await floor.events().read(UK, [attempt.seq])).values()
    shown = show_attempt(attempt, event, endpoint, with_content=True)
    return f"{logs} {attempt} {shown} {endpoint}", floor.subscribers.got[0]


@pytest.mark.parametrize("shape", [RequestShape(), RequestShape(method="PUT", url_parameters={"row": "data.rowId"})])
async def test_a_secret_url_is_sent_and_not_seen(rig: Rig, shape: RequestShape) -> None:
    """Also if it has placeholders, and the receiver echoes it in its body and its headers."""
    await rig.source()
    url = f"https://{CRM}/services/{IN_URL}?sig={IN_URL}x" + ("&row={row}" if shape.url_parameters else "")
    endpoint = await rig.endpoint(url=masked(url), secret_url=SecretUrl(url), request=shape)
    said, got = await all_said(rig, endpoint)
    assert got.path == f"/services/{IN_URL}?sig={IN_URL}x" + ("&row=1" if shape.url_parameters else "")
    assert IN_URL not in said
    assert f"https://{CRM}/••••" in said


@pytest.mark.parametrize(
    ("auth", "place"),
    [
        (KeyAuth(in_="query", name="api key", value=SECRET), "path"),
        (KeyAuth(in_="header", name="X-Api-Token", value=SECRET), "header"),
        (KeyAuth(in_="header", name="Authorization", prefix="Token token=", value=SECRET), "authorization"),
    ],
    ids=["query", "header", "authorization"],
)
@pytest.mark.parametrize("shape", [RequestShape(), RequestShape(method="PUT", url_parameters={"row": "data.rowId"})])
async def test_an_api_key_is_sent_and_not_seen(rig: Rig, auth: EndpointAuth, place: str, shape: RequestShape) -> None:
    """Where the endpoint says. It outranks a header of the endpoint with the same name."""
    await rig.source()
    url = f"https://{CRM}/hook?a={{row}}" if shape.url_parameters else f"https://{CRM}/hook"
    endpoint = await rig.endpoint(url=url, auth=auth, request=shape, headers={"x-api-token": "other-text"})
    said, got = await all_said(rig, endpoint)
    key = "api+key=canary%2BT024BE7LH%2FX1y2Z3"
    if place == "path":
        assert got.path == ("/hook?a=1&" + key if shape.url_parameters else "/hook?" + key)
    elif place == "header":
        assert got.headers["x-api-token"] == SECRET
    else:
        assert (got.headers["authorization"], got.headers["x-api-token"]) == (f"Token token={SECRET}", "other-text")
    assert SECRET not in said
    assert "canary%2B" not in said

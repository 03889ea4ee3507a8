"""What the stories of recipes play on: a sandbox, the API, a worker, and a system for each story."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from relay.domain.model import ApiKeyAuth, Source, SourceUid
from relay.recipes import endpoint_of, recipes
from relay.sandbox.app import create_sandbox
from relay.sandbox.config import SandboxConfig
from relay.sandbox.journeys import rows
from tests.fault.api import api
from tests.fault.stage import Stage, stage, until
from tests.recipes.crms import Crm, Crms, Reply, crms
from tests.recipes.facts import Request, faults

UID, IGRP, FIRST_ROW = SourceUid("sandbox"), 1234, 141_248_745
SETTINGS = {"RELAY_OVERLAP_INTERVAL_SECONDS": "0.2", "RELAY_GAP_DEADLINE_SECONDS": "1"}
"""Changes of rows are found soon."""
CALL = {
    "act": "call", "callDirection": "in", "callStage": "bridge", "callDuration": "97", "bridgeDuration": "84",
    "srcPhoneNumber": "07700900123", "dialledPhoneNumber": "02079460018", "campaign": "spring", "term": "boiler",
    "triggerDatetime": "2026-11-20 14:05:09", "dgrpName": "Sales & Co", "goal": "12", "goalTitle": "Call Qualified",
    "goalValue": "250", "goalCurrency": "GBP", "txr": "", "txv": "", "txc": "", "callRating": "", "notes": "",
    "pt_gclid": "EAIaIQobChMI-test_1", "c_clientId": "111.222", "c_sessionId": "1795183000",
}  # fmt: skip
"""The columns that recipes read; the others are as the sandbox makes them."""
_SAME = ("id", "uid", "createdAt", "updatedAt", "filter", "filterTypes")


@dataclass
class Play:
    """All of it."""

    on: Stage
    client: httpx.AsyncClient
    sandbox: httpx.AsyncClient
    crms: Crms
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_ROW))
    row: dict[str, Any] = field(default_factory=lambda: next(r for r in rows(5, igrp=IGRP) if r["act"] == "call"))
    """A call as the sandbox makes it."""

    async def story(
        self, recipe: str, answers: Callable[[Crm, Request], Reply], refusal: Reply | None = None, **parameters: str
    ) -> "Story":
        """Create an endpoint from a recipe, with a system of its own in place of the real one."""
        crm = self.crms.open(answers, refusal)
        path = f"/api/v1/app/{self.on.application.id}/endpoint"
        real = endpoint_of(recipes()[recipe], parameters)
        asked = {"recipe": recipe, "parameters": parameters, "paused": False, "filter": {"c_story": recipe}}
        as_it_is = await self.client.post(path, json={**asked, "paused": True, "filter": {"c_story": "none"}})
        made = await self.client.post(path, json={**asked, **moved(real, crm.origin)})
        assert (as_it_is.status_code, made.status_code) == (201, 201), (as_it_is.text, made.text)
        here, there = made.json(), as_it_is.json()
        assert moved(there, crm.origin) | {"paused": False} == {
            name: value for name, value in here.items() if name not in _SAME
        }
        return Story(self, recipe, crm, here["id"])


def moved(endpoint: dict[str, Any], origin: str) -> dict[str, Any]:
    """An endpoint whose requests go to another origin, and that is the same otherwise."""
    changed: dict[str, Any] = json.loads(json.dumps({k: v for k, v in endpoint.items() if k not in _SAME}))
    real = httpx.URL(endpoint["url"])
    for place in (changed, changed.get("lookup") or {}, changed.get("capture") or {}):
        if place.get("url"):
            place["url"] = origin + place["url"].removeprefix(f"{real.scheme}://{real.netloc.decode()}")
    auth = changed.get("auth") or {}
    for place, name in ((auth, "tokenUrl"), (auth.get("key", {}), "token_uri")):
        if name in place:
            place[name] = origin + "/token"
    if auth.get("baseUrlSuffix"):
        auth["baseUrlSuffix"] = httpx.URL(origin).host
    return changed


@dataclass
class Story:
    """One recipe's endpoint, and the system that it sends to."""

    play: Play
    recipe: str
    crm: Crm
    endpoint: str
    seen: int = 0

    async def row(self, **columns: Any) -> dict[str, Any]:
        """A new row in the sandbox."""
        made = self.play.row | CALL | {"rowId": str(next(self.play.numbers)), "c_story": self.recipe} | columns
        await self._show(made)
        return made

    async def change(self, row: dict[str, Any], **columns: Any) -> None:
        """The row is another one now."""
        await self._show(row | columns)

    async def _show(self, row: dict[str, Any]) -> None:
        answer = await self.play.sandbox.post("/sandbox/rows", content=json.dumps(row))
        assert answer.status_code == 201, answer.text

    async def sent(self, *kinds: str) -> list[Request]:
        """The next requests, which are of these kinds, and agree with the facts."""
        until_now, self.seen = self.seen, self.seen + len(kinds)
        await until(lambda: len(self.crm.got) >= self.seen, what=f"{kinds} of {self.recipe}", every_s=0.01)
        requests = self.crm.got[until_now : self.seen]
        wrong = [(kind, list(faults(self.recipe, kind, each))) for kind, each in zip(kinds, requests, strict=True)]
        assert wrong == [(kind, []) for kind in kinds]
        return requests

    async def ended(self, how: str) -> dict[str, Any]:
        """Wait for the attempt that made the last request, which ended so: `delivered`, `dead`, `later`, `disabled`."""
        message, found = self.crm.got[self.seen - 1].headers["webhook-id"], dict[str, Any]()

        async def has() -> bool:
            path = f"/api/v1/app/{self.play.on.application.id}/attempt/endpoint/{self.endpoint}"
            listed = (await self.play.client.get(path, params={"limit": 250})).json()["data"]
            found.update(next((each for each in listed if each["msgId"] == message), {}))
            return bool(found)

        await until(has, what=f"an attempt for {self.recipe}")
        state = (
            "delivered" if found["status"] == 0 else "later" if found["nextAttempt"] else await self._given_up(found)
        )
        assert state == how, found
        return found

    async def _given_up(self, attempt: dict[str, Any]) -> str:
        endpoint = f"/api/v1/app/{self.play.on.application.id}/endpoint/{self.endpoint}"
        if (await self.play.client.get(endpoint)).json()["disabled"]:
            return "disabled"
        params = {"endpoint": self.endpoint, "limit": 250}
        listed = (await self.play.client.get("/api/v1/undelivered", params=params)).json()["data"]
        reasons = [each["reason"] for each in listed if each["msgId"] == attempt["msgId"]]
        return "dead" if reasons == ["verdict_rule"] else f"neither: {reasons}"


@asynccontextmanager
async def playing() -> AsyncIterator[Play]:
    """Run all of it for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(stage(11, settings=SETTINGS))
        url = await stack.enter_async_context(_sandbox())
        sandbox = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
        await on.stores.sources.put(UID, lambda _: _source(url))
        systems = await stack.enter_async_context(crms())
        client, _ = await asyncio.gather(stack.enter_async_context(api(on)), on.worker())
        yield Play(on, client, sandbox, systems)


@asynccontextmanager
async def _sandbox() -> AsyncIterator[str]:
    application = create_sandbox(SandboxConfig(rows=0, igrp=IGRP, record_shown=False))
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


def _source(url: str) -> Source:
    return Source(
        uid=UID, name="sandbox", base_url=url, version="v2.1", igrp=IGRP,
        auth=ApiKeyAuth("00000000-0000-4000-8000-000000000001"), routes=("all",), poll_interval_s=0.1,
        start_row_id=FIRST_ROW - 1,
    )  # fmt: skip

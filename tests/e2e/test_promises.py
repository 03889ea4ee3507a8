"""What the README promises, one test each, against real processes."""

import base64
import json
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from relay.cli.demo.ports import free_port
from relay.domain import envelope
from relay.domain.identity import VOLATILE
from relay.domain.model import ApiKeyAuth, Application, EndpointId, SigningKey, Source, SourceUid
from relay.domain.normalising import normalise
from relay.domain.references import tag_of
from relay.store import keys
from tests.bench.processes import child, listens
from tests.fault.cases.kills import kill
from tests.fault.recorder import always, never
from tests.fault.stage import SOURCE, Stage, now_ms, stage, until
from tests.patience import PATIENCE_S

SANDBOX = SourceUid("sandbox")
ROUTES = ("callsGoalsTransactions", "calls", "all")
HAZARDS = (
    "late,probability=0.1,seconds=1.5", "rated,probability=0.3,seconds=1", "goalGained,probability=0.3,seconds=1",
    "noteAdded,probability=0.2,seconds=1", "unescapedNotes,probability=0.3", "duplicated,probability=0.2",
    "truncated,probability=0.1", "message,probability=0.05", "serverError,probability=0.05",
    "unordered,probability=0.1",
)  # fmt: skip
READINGS = {
    "RELAY_OVERLAP_SECONDS": "0.5", "RELAY_OVERLAP_INTERVAL_SECONDS": "0.3", "RELAY_GAP_DEADLINE_SECONDS": "8",
    "RELAY_CHANGE_SCHEDULE": "2.5,5", "RELAY_READING_REQUESTS_PER_HOUR": "360000",
}  # fmt: skip
KEY = "00000000-0000-4000-8000-000000000001"


async def test_nothing_is_missed() -> None:
    """Late, changed, doubled, broken and disordered rows on three routes: each version becomes one event, sent once.

    Rows that are late, and changes, lie far behind what the overlap reaches: gaps are probed, and rows are read again.
    """
    async with stage(1, settings=READINGS) as on, sandbox(on) as upstream:
        await on.endpoint("all", everything=True)
        await on.stores.sources.put(SANDBOX, lambda _: source(str(upstream.base_url)))
        await on.worker()
        await until(lambda: ended(upstream), within_s=60, what="the sandbox to have made its rows")
        await until(lambda: nothing_missing(on, upstream), within_s=90, what="an event for the last state of each row")
        await until(lambda: sent(on), within_s=60, what="all callbacks")
        events = await events_of(on, SANDBOX)
        assert len({(event["rowId"], event["revision"]) for event, _ in events}) == len(events)
        arrived = Counter(a.message for a in on.recorder.of("all") if a.accepted)
        assert arrived == Counter(message for _, message in events)
        assert max(event["revision"] for event, _ in events) > 1


async def test_nothing_is_lost() -> None:
    """Workers are killed under load, and every event still arrives."""
    findings = [finding async for finding in kill(2, times=4, workers=2, pause_s=(0.3, 1.0))]
    assert [(finding.what, finding.value) for finding in findings if not (finding.holds or finding.is_time)] == []


async def test_a_duplicate_is_recognisable() -> None:
    """A store that was emptied and filled again sends the same webhook-ids for the same rows."""
    async with stage(3) as on:
        await on.endpoint("crm", everything=True)
        for number in range(50):
            on.upstream.offer("crm", key=str(number))
        await run_once(on)
        first = {arrival.row: arrival.message for arrival in on.recorder.of("crm")}
        await on.stores.redis.flushdb()
        await on.stores.applications.create(lambda i: Application(id=i, name="again"), now_ms=now_ms())
        on.application = (await on.stores.applications.page(after=None, limit=1)).values[0]
        await on.stores.sources.put(SOURCE, lambda _: source(on.upstream.url, uid=SOURCE, routes=("all",)))
        await on.endpoint("again", everything=True)
        await run_once(on)
        assert {arrival.row: arrival.message for arrival in on.recorder.of("again")} == first
        assert len(first) == 50


async def test_one_endpoints_trouble_is_its_own() -> None:
    """While five endpoints never answer at all, twenty others get everything."""
    async with stage(4, settings={"RELAY_ATTEMPT_TIMEOUT_SECONDS": str(2 * PATIENCE_S)}) as on:
        silent, healthy = [f"s{n}" for n in range(5)], [f"h{n:02}" for n in range(20)]
        for name in silent:
            await on.endpoint(name, never())
        for name in healthy:
            await on.endpoint(name, always())
        for number in range(1000):
            on.upstream.offer((silent + healthy)[number % 25])
        worker = await on.worker()

        def all_healthy_arrived() -> bool:
            return sum(1 for arrival in on.recorder.arrivals if arrival.accepted) == 800

        def silent_were_asked() -> bool:
            return {arrival.path for arrival in on.recorder.arrivals if not arrival.accepted} == set(silent)

        # The first attempt at a silent endpoint ends after twice this time: that nobody waits for it is the promise.
        await until(all_healthy_arrived, what="everything that can be delivered")
        await until(silent_were_asked, what="an attempt at each silent endpoint")
        await on.kill(worker)  # It would wait for those who never answer.


async def test_it_can_be_checked() -> None:
    """The REST API tells what was stored and what each endpoint confirmed, try by try."""
    async with stage(5) as on, api(on) as client:
        await on.endpoint("good", everything=True)
        await on.endpoint("bad", always(500), everything=True, retry_schedule=())
        for number in range(20):
            on.upstream.offer("good", key=str(number))
        await on.worker()
        await on.taken_in()
        await until(lambda: len(on.recorder.of("good")) == 20, what="the callbacks")
        path = f"/api/v1/app/{on.application.id}"
        stored = await everything(client, f"{path}/msg")
        assert {message["id"] for message in stored} == {arrival.message for arrival in on.recorder.of("good")}
        good, bad = on.endpoints["good"], on.endpoints["bad"]

        async def confirmed() -> bool:
            attempts = await everything(client, f"{path}/attempt/endpoint/{good.id}")
            return len([a for a in attempts if a["status"] == 0 and a["responseStatusCode"] == 204]) == 20

        async def given_up() -> bool:
            return bool((await client.get("/api/v1/undelivered")).json()["data"])

        await until(confirmed, what="the attempts to be listed")
        await until(given_up, what="what was given up to be listed")
        failed = await everything(client, f"{path}/attempt/endpoint/{bad.id}")
        assert {attempt["responseStatusCode"] for attempt in failed} == {500}
        state = (await client.get(f"/api/v1/source/{SOURCE}")).json()["routeStates"]["all"]
        assert (int(state["cursor"]), state["lastError"]) == (on.upstream.offered[-1].row, None)
        undelivered = (await client.get("/api/v1/undelivered")).json()["data"]
        assert {entry["endpointId"] for entry in undelivered} == {bad.id}
        await reconciled(client, confirmed={good.id: 20, bad.id: 0})


async def reconciled(client: httpx.AsyncClient, *, confirmed: dict[EndpointId, int]) -> None:
    """A reconciliation of the source tells the same, row by row."""
    path = f"/api/v1/source/{SOURCE}/reconciliation"
    path += "/" + (await client.post(path, json={})).json()["id"]

    async def done() -> bool:
        return bool((await client.get(path)).json()["state"] == "done")

    await until(done, what="the reconciliation")
    run = (await client.get(path)).json()
    assert (run["rowsShown"], run["rowsStored"], set(run["differences"])) == (20, 20, {"dead"})
    counts = await everything(client, f"{path}/endpoint")
    assert {each["endpointId"]: each["confirmed"] for each in counts} == confirmed
    assert {each["confirmed"] + each["dead"] + each["waiting"] for each in counts} == {20}
    differences = await everything(client, f"{path}/difference")
    assert len({each["rowId"] for each in differences}) == run["differences"]["dead"] == sum(e["dead"] for e in counts)


async def test_nobody_gets_in_or_out() -> None:
    """Private addresses are never called, nothing is told without a key, and no secret or phone number is written."""
    phone = "07700900123"
    async with stage(6, settings={"RELAY_EGRESS_ALLOW": "127.1.0.0/16"}) as on, api(on) as client:
        made = {"keys": (SigningKey(key=on_the_spot()),), "everything": True}
        await on.endpoint("inside", url=f"http://127.77.0.1:{on.recorder.port}/inside", **made)
        await on.endpoint("metadata", url="https://169.254.169.254/latest", **made)
        good = await on.endpoint("ok", url=f"http://127.1.0.1:{on.recorder.port}/ok", everything=True)
        on.upstream.offer("ok", key=phone)
        worker = await on.worker()
        await until(lambda: on.recorder.of("ok"), what="the callback that is allowed")

        async def refused() -> bool:
            attempts = [
                attempt
                for number, event in (await on.stores.events.read(SOURCE, range(1, 3))).items()
                for attempt in await on.stores.attempts.of_event(SOURCE, number, tag_of(event.id))
            ]
            return sum("refused_address" in attempt.error for attempt in attempts) >= 2

        await until(refused, what="the attempts that are refused")
        assert on.recorder.of("inside") == []
        assert (await client.get("/api/v1/app", headers={"authorization": "Bearer wrong"})).status_code == 401
        answer = await client.post(f"/api/v1/app/{on.application.id}/endpoint", json={"url": "https://10.0.0.1/hook"})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "url"])
        written = worker.log.read_bytes() + (on.folder / "api.log").read_bytes()
        plain = [good.keys[0].key, KEY, on.environment["RELAY_ADMIN_KEY"], phone]
        assert [text for text in plain if text.encode() in written] == []
        dump = await config_dump(on)
        assert [text for text in (good.keys[0].key, KEY) if text.encode() in dump] == []


def on_the_spot() -> str:
    """A signing key."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


async def run_once(on: Stage) -> None:
    """A worker that works until everything is delivered."""
    await on.worker()
    await on.drained()
    await on.stop_workers()


def source(url: str, *, uid: SourceUid = SANDBOX, routes: tuple[str, ...] = ROUTES) -> Source:
    return Source(
        uid=uid,
        name="sandbox",
        base_url=url.rstrip("/"),
        version="v2.1",
        igrp=1,
        auth=ApiKeyAuth(KEY),
        routes=routes,
        poll_interval_s=0.1,
        batch_size=50,
        start_row_id=0,
    )


@asynccontextmanager
async def sandbox(on: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """A sandbox with every hazard that a row can have, as a process."""
    port = free_port()
    switches = [part for hazard in HAZARDS for part in ("--hazard", hazard)]
    command = ("-m", "relay.cli.main", "sandbox", "--port", str(port), "--rate", "60", "--rows", "300", *switches)
    async with (
        child("sandbox", sys.executable, *command, folder=on.folder, ready=listens(port)),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client,
    ):
        yield client


@asynccontextmanager
async def api(on: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """The REST API as a process, and a client that may do everything."""
    port = free_port()
    command = ("-m", "relay.cli.main", "serve")
    env = {**on.environment, "RELAY_PORT": str(port)}
    headers = {"authorization": f"Bearer {on.environment['RELAY_ADMIN_KEY']}"}
    async with (
        child("api", sys.executable, *command, folder=on.folder, ready=listens(port), env=env),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE_S) as client,
    ):
        yield client


async def everything(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    iterator: str | None = None
    while True:
        page = (await client.get(path, params={"limit": 10, **({"iterator": iterator} if iterator else {})})).json()
        found += page["data"]
        iterator = page["iterator"]
        if page["done"]:
            return found


async def ended(upstream: httpx.AsyncClient) -> bool:
    """Whether the sandbox has made all of its rows and changes, and hides none."""
    state = (await upstream.get("/sandbox/state")).json()
    return not state["producing"] and not state["pending"]


async def events_of(on: Stage, uid: SourceUid) -> list[tuple[dict[str, Any], str]]:
    """The data and the message id of every event of a source."""
    events = await on.stores.events.page(uid, limit=100_000)
    return [(envelope.decode(event.body), event.id) for _, event in events]


async def nothing_missing(on: Stage, upstream: httpx.AsyncClient) -> bool:
    """Whether the newest event of each row has what the upstream showed of it last, on the route that owns it."""
    newest: dict[str, dict[str, Any]] = {}
    for data, _ in await events_of(on, SANDBOX):
        known = newest.get(data["rowId"])
        if known is None or known["revision"] < data["revision"]:
            newest[data["rowId"]] = data
    shown = [json.loads(line) for line in (await upstream.get("/sandbox/shown")).text.splitlines()]
    return len(shown) > 200 and all(
        row["rowId"] in newest and stable(newest[row["rowId"]]["trigger"]) == stable(normalise(row["versions"][-1]))
        for row in shown
    )


def stable(trigger: dict[str, Any]) -> str:
    """What counts of a trigger, as text."""
    return json.dumps({k: v for k, v in trigger.items() if k not in VOLATILE}, sort_keys=True, default=str)


async def sent(on: Stage) -> bool:
    """Whether no delivery is left of the sandbox's source."""
    counts: list[Any] = await on.stores.redis.hvals(keys.references(SANDBOX))  # type: ignore[misc]
    return sum(map(int, counts)) == 0


async def config_dump(on: Stage) -> bytes:
    """Everything that is kept of the configuration, as Redis would write it down."""
    return b"".join([await on.stores.redis.dump(key) async for key in on.stores.redis.scan_iter("relay:{config}:*")])

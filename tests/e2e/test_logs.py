"""Content in logs: a worker and an API that log everything they can say never quote a row, a payload or an answer."""

import json
import re
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from relay.cli.demo.ports import free_port
from tests.e2e.test_posting import serve
from tests.fault.serving import Exchange, serving
from tests.fault.stage import SOURCE, Stage, stage, until
from tests.integration.pipeline.test_erasing import DIGITS, places_in

pytestmark = pytest.mark.timeout(120)

ANNA = "+442079460958"
SPELLINGS = (ANNA, "02079460958", "020 7946 0958", "0044 (0)20-7946-0958", "%2B44%2020%207946%200958")
NAME, STREET, VISITOR, RECORDING = "Anna Zwetschgenberg", "Pflaumenallee", "5e0a1b2c3d4fcafe", "rec-8f3b20aa91"
MARKS = (NAME, STREET, VISITOR, RECORDING)
FIRST = 1_000_001


def row(row_id: int, **columns: Any) -> bytes:
    """A row about a person, as Infinity sends it."""
    person = {
        "num": ANNA, "customerPhoneNumber": SPELLINGS[row_id % len(SPELLINGS)], "vid": VISITOR, "c_name": NAME,
        "recordingUrl": f"https://recordings.example/{RECORDING}.mp3?from={SPELLINGS[4]}",
        "notes": json.dumps([{"note": f"{NAME} of \"{STREET}\", call {SPELLINGS[2]}"}]), "c_to": "all",
    }  # fmt: skip
    base = {"rowId": str(row_id), "igrp": "1", "act": "call", "triggerDatetime": "2026-01-02 03:04:05"}
    return json.dumps(base | person | columns).encode()


def lines() -> Iterable[bytes]:
    """Rows that are fine, that change, and that cannot be read, each with the person in it."""
    yield from (row(FIRST + number) for number in range(10))
    yield b'{"rowId":"%d","num":"%s","c_name":"%s", broken' % (FIRST + 10, ANNA.encode(), NAME.encode())
    yield b'{"rowId":"%d","c_deep":%s"%s"%s}' % (FIRST + 11, b"[" * 99, ANNA.encode(), b"]" * 99)
    yield b'{"rowId":"%d","num":"%s","c_name":"%s","rowId":{}}' % (FIRST + 12, ANNA.encode(), NAME.encode())
    yield row(FIRST + 13, triggerDatetime=NAME, callDuration=ANNA, igrp=STREET)
    yield row(FIRST + 10**9)


class Sink:
    """A receiver that sends back what it got, with every status, and in headers."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def take(self, exchange: Exchange) -> None:
        """Answer by the path: `/500` with 500, and so on."""
        self.paths.append(exchange.target)
        status = int(re.sub(r"\D", "", exchange.target) or "200")
        echo = f"x-echo: {ANNA} {NAME}", f"location: https://crm.example/{NAME.split()[1]}?n={ANNA}"
        exchange.answer(status, exchange.body, *echo)


async def call_everything(client: httpx.AsyncClient) -> None:
    """Requests with the person in their bodies, queries and paths, right and wrong ones."""
    post = {"eventType": "note.made", "payload": {"from": ANNA, "name": NAME}, "eventId": "call-02079460958"}
    assert (await client.post("/app/crm/msg", json=post)).status_code == 202
    for wrong in (post, {"payload": {ANNA: NAME}}, {"eventType": NAME, "payload": {}}, {**post, "tags": [ANNA, 7]}):
        assert (await client.post("/app/crm/msg", json=wrong)).status_code in (409, 422)
    await client.post("/app/crm/msg", content=b'{"eventType": "%s", "payload": ' % ANNA.encode())
    for path in (f"/app/{NAME}/msg", f"/app/crm/msg/{ANNA}", "/app/crm/msg/call-02079460958", f"/nowhere/{ANNA}"):
        await client.get(path, params={"after": ANNA, "limit": NAME})
    endpoint = {"url": f"http://127.0.0.1:1/{ANNA}", "filter": {"num": ANNA}, "metadata": {"name": NAME}}
    assert (await client.post("/app/crm/endpoint", json=endpoint)).status_code == 201
    await client.post("/app/crm/endpoint", json={"url": f"ftp://{NAME}"})
    await client.request("DELETE", "/app/crm/msg/call-02079460958/content")
    for body in ({"phone": "02079460958"}, {"visitor": VISITOR, "phone": ANNA}, {"visitor": VISITOR, "dryRun": True}):
        await client.post("/erasure", json=body)


async def fill(on: Stage, client: httpx.AsyncClient, sink: int) -> None:
    """Endpoints of all habits, rows of all kinds, and changes of some rows."""
    await client.put("/app/crm", json={"name": NAME})
    for path in ("200", "204", "302", "400", "410", "500", "503"):
        url = f"http://127.0.0.1:{sink}/{path}"
        made = await client.post("/app/crm/endpoint", json={"url": url, "orderKey": "num", "order": "keyed"})
        assert made.status_code == 201
    for at, line in enumerate(lines()):
        row_id = int(re.search(rb'"rowId": ?"(\d+)"', line)[1])  # type: ignore[index]
        on.upstream.show_line(row_id, line)
        assert at < 99


async def is_recorded(client: httpx.AsyncClient) -> bool:
    """Whether every receiver's answer is in the log of attempts, and all broken lines are set aside."""
    endpoints = (await client.get("/app/crm/endpoint")).json()["data"]
    attempts = [(await client.get(f"/app/crm/attempt/endpoint/{each['id']}")).json()["data"] for each in endpoints]
    quarantined = (await client.get(f"/source/{SOURCE}/quarantine")).json()["data"]
    return all(attempts) and len(quarantined) >= 3


async def is_gone(redis: Redis) -> bool:
    """Whether nothing of the person is left where the relay keeps content."""
    return all(name.endswith(":endpoints") for name in await places_in(redis))


async def test_no_log_has_content_and_nothing_is_left_of_an_erased_person() -> None:
    """At the level `debug`, with refused rows, broken lines, wrong requests, and receivers that send all of it back."""
    port, receiver = free_port(), Sink()
    quick = {"RELAY_LOG_LEVEL": "debug", "RELAY_RETRY_SCHEDULE": "0.2,0.2", "RELAY_ATTEMPT_TIMEOUT_SECONDS": "2"}
    async with stage(26, settings=quick) as on, serving(receiver.take, host="127.0.0.1") as sink, serve(on, port):
        headers = {"authorization": f"Bearer {on.environment['RELAY_ADMIN_KEY']}"}
        base = f"http://127.0.0.1:{port}/api/v1"
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client:
            await fill(on, client, sink)
            await on.worker()
            await call_everything(client)
            await until(lambda: is_recorded(client), within_s=30, what="attempts and set aside lines")
            assert len(await places_in(on.stores.redis)) >= 3
            assert await said(on) == []

            begun = await client.post("/erasure", json={"phone": ANNA}, headers={"idempotency-key": "k"})
            task = f"/background-task/{begun.json()['id']}"

            async def is_looked_through() -> bool:
                return bool((await client.get(task)).json()["data"]["round"] == 2)

            await until(is_looked_through, within_s=30, what="the first round")
            data = (await client.get(task)).json()["data"]
            assert min(data[name] for name in ("messages", "responses", "lines", "auditEntries")) > 0
            on.upstream.change(FIRST, callRating="5")
            on.upstream.show_line(FIRST + 20, row(FIRST + 20))
            await until(lambda: has_row(on, FIRST + 20), within_s=30, what="a row that comes again")
            # The configuration is the operator's: an endpoint has the number in its URL and its filter.
            # What was on its way in the first round is found in the second one.
            await until(lambda: is_gone(on.stores.redis), within_s=90, what="the person to be gone")
        await on.stop_workers()
        assert await said(on) == []


async def has_row(on: Stage, row_id: int) -> bool:
    """Whether a row was taken in."""
    return bool(await on.stores.books.have(SOURCE, "t", {row_id}))


async def said(on: Stage) -> list[str]:
    """The lines of all logs that have something of the person."""
    logs = sorted(on.folder.glob("*.log"))
    assert all((on.folder / name).stat().st_size for name in ("api.log", "worker0.log"))
    found = []
    for log in logs:
        for line in log.read_text().splitlines():
            bare = re.sub(r"[\s().\-/]", "", line)
            if DIGITS.decode() in bare or any(mark in line for mark in (*MARKS, *NAME.split())):
                found.append(f"{log.name}: {line}")
    return found

"""A tenant that is deleted with its source, and another one under the same uids: what was the old one's stays away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any

import httpx

from tests.fault.api import api
from tests.fault.case import Finding, case
from tests.fault.checker import check
from tests.fault.recorder import always
from tests.fault.stage import ROUTE, Stage, TooLate, stage, until
from tests.fault.upstream import FIRST_ROW_ID, Upstream

UID = "tenant"
TIMES = 5
RATE = 300.0
AT_ONCE = 200
"""Rows that an upstream has before its source is made."""
LASTS_S = 4.0
WORKERS = 2
KILLED = 0.5
"""How often a worker is killed just after that: whatever it was deleting, another one goes on with."""
ALL_WITHIN_S = 20.0
FREE_WITHIN_S = 30.0
"""Until the uid of a source that was deleted can be used again."""
ROWS_APART = 100_000
OVERLAP = {"RELAY_OVERLAP_SECONDS": "2", "RELAY_OVERLAP_INTERVAL_SECONDS": "0.5"}


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant: an application, an endpoint at a path of its own, and a source with an upstream of its own."""

    path: str
    application: str
    upstream: Upstream


@case("source-made-anew", goal="G3", seconds=60)
async def source_made_anew(seed: int) -> AsyncIterator[Finding]:
    """Five times an application and its source are deleted under load, and others made under the same uids."""
    async for finding in making_anew(seed, times=TIMES):
        yield finding


async def making_anew(seed: int, *, times: int) -> AsyncIterator[Finding]:
    """Half of the new tenants have rows with the ids of the old one's, the others have not."""
    late: list[str] = []
    waits: list[float] = []
    tenants: list[Tenant] = []
    async with stage(seed, settings=OVERLAP) as on, api(on) as client:
        for _ in range(WORKERS):
            await on.worker()
        for number in range(times + 1):
            tenant, waited_s = await _make(on, client, number)
            tenants.append(tenant)
            waits.append(waited_s)
            load = asyncio.create_task(_offer(tenant))
            await asyncio.sleep(LASTS_S)
            if not await _arrived(on, tenant, tenant.upstream.offered[AT_ONCE - 1].row):
                late.append(tenant.path)
            last = number == times
            if not last:
                await _delete(client, tenant, source_first=on.rng.random() < 0.5)
                if on.rng.random() < KILLED:
                    await on.kill(on.rng.choice(on.workers))
                    await on.worker()
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load
        await _arrived(on, tenants[-1], tenants[-1].upstream.offered[-1].row)
        await asyncio.sleep(1)
        yield Finding("until a uid is free again", max(waits), "<=", FREE_WITHIN_S, "s")
        yield Finding("tenants that did not get all of their first rows", len(late), "==", 0, "", ", ".join(late))
        for finding in _compared(on, tenants):
            yield finding


def _compared(on: Stage, tenants: list[Tenant]) -> list[Finding]:
    foreign = [a for each in tenants for a in on.recorder.of(each.path) if a.key != each.path]
    newest = tenants[-1]
    rows = newest.upstream
    verdict = check(rows.shown, rows.offered, [newest.path], on.recorder.of(newest.path))
    return [
        Finding("callbacks with another tenant's rows", len(foreign), "==", 0, "", f"of {len(on.recorder.arrivals)}"),
        Finding("lost by the newest tenant", len(verdict.lost), "==", 0, "", f"of {verdict.expected}"),
        Finding("doubled by the newest tenant", verdict.duplicates, "==", 0),
        Finding("deliveries under more than one webhook-id", len(verdict.renamed), "==", 0),
    ]


async def _make(on: Stage, client: httpx.AsyncClient, number: int) -> tuple[Tenant, float]:
    """Make a tenant, whose rows have its path for a key; gives how long its uid was taken, too."""
    path = f"tenant{number}"
    on.recorder.set(path, always(after_s=0.005))
    rows = await on.open_upstream(first_row=FIRST_ROW_ID + number // 2 * ROWS_APART)
    for _ in range(AT_ONCE):
        rows.offer(path, key=path)
    application = await _make_application(on, client, path)
    source = {
        "baseUrl": rows.url, "igrp": 1, "auth": {"type": "apiKey", "key": "00000000-0000-4000-8000-000000000001"},
        "routes": [ROUTE], "pollIntervalSeconds": 0.1, "startRowId": 0,
    }  # fmt: skip

    async def free() -> bool:
        answer = await client.put(f"/api/v1/source/{UID}", json=source)
        if answer.status_code == 409:
            return False
        answer.raise_for_status()
        return True

    waited_s = await until(free, within_s=FREE_WITHIN_S, what="the source's uid")
    return Tenant(path, application, rows), waited_s


async def _make_application(on: Stage, client: httpx.AsyncClient, path: str) -> str:
    made = await _post(client, "/api/v1/app", {"name": path, "uid": UID})
    await _post(client, f"/api/v1/app/{UID}/endpoint", {"url": on.recorder.url(path)})
    return str(made["id"])


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


async def _delete(client: httpx.AsyncClient, tenant: Tenant, *, source_first: bool) -> None:
    paths = [f"/api/v1/source/{UID}", f"/api/v1/app/{tenant.application}"]
    for path in paths if source_first else reversed(paths):
        (await client.delete(path)).raise_for_status()


async def _arrived(on: Stage, tenant: Tenant, row: int) -> bool:
    """Wait for a tenant's rows up to one; False: they do not come."""
    wanted = {each.row for each in tenant.upstream.offered if each.row <= row}

    def there() -> bool:
        return wanted <= {a.row for a in on.recorder.of(tenant.path) if a.accepted and a.key == tenant.path}

    try:
        await until(there, within_s=ALL_WITHIN_S, what="a tenant's rows", every_s=0.2)
    except TooLate:
        return False
    return True


async def _offer(tenant: Tenant) -> None:
    began = monotonic()
    for number in count():
        tenant.upstream.offer(tenant.path, key=tenant.path)
        await asyncio.sleep(max(0.0, began + number / RATE - monotonic()))

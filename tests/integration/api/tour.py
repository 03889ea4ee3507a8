"""A tour through every operation of the API, as an agency would use it. It is what the examples show."""

import asyncio
from typing import Any

import msgspec
from msgspec import structs

from relay.domain.erasing import phone
from relay.domain.erasing_task import Found
from relay.domain.erasures import erasure_of
from relay.domain.links import PURPOSE, sign_link, trace_text
from relay.domain.model import EndpointId, SourceUid
from relay.domain.reconciling import Counts, Difference
from relay.store import tally_keys
from relay.wiring import Stores
from tests.integration.api.recording import Recorder
from tests.integration.api.storing import NOW, Store
from tests.integration.api.test_messages import attempt
from tests.integration.api.test_recordings import Upstream, answer

UK = SourceUid("infinity-uk")
SOURCE = {
    "name": "Infinity UK",
    "baseUrl": "https://api.infinitycloud.com",
    "version": "v2.1",
    "igrp": 2050,
    "auth": {"type": "apiKey", "key": "upstream-key"},
    "routes": ["callsGoalsTransactions"],
    "pollIntervalSeconds": 60,
    "batchSize": 1000,
    "startRowId": None,
}
ROUTE = "callsGoalsTransactions"
CALL: dict[str, Any] = {
    "act": "call",
    "callDirection": "IN",
    "callDuration": 154,
    "callStage": "ANSWERED",
    "dgrpName": "Sales",
    "srcPhoneNumber": "+442079460123",
    "triggerDatetime": "2026-09-21T13:30:05Z",
    "vid": "0a4f2a5e-6a0c-4b3e-9f8e-2d1c7a9b1234",
}
JOURNEY: list[dict[str, Any]] = [
    {"rowId": "141248745", "act": "call", "triggerDatetime": "2026-09-21 13:30:05", "callDuration": "154"},
    {"rowId": "141248702", "act": "land", "triggerDatetime": "2026-09-21 13:24:40", "chName": "Paid search"},
]
"""What Infinity shows of the visitor, the newest first."""


async def tour(record: Recorder, stores: Stores) -> None:
    """Call every operation, and meet every kind of error."""
    await _sources(record, stores)
    endpoint = await _subscriptions(record)
    await _messages(record, stores, endpoint)
    await _tally(stores, endpoint)
    await _statistics(record, stores, endpoint)
    await _steering(record)
    await _reconciliations(record, stores, endpoint)
    await _keys(record)
    await _operator(record, stores)
    await _errors(record, stores)
    await _deletions(record)
    await record.call("GET /principal")


async def _sources(record: Recorder, stores: Stores) -> None:
    await record.call("PUT /source/{uid}", SOURCE, uid=UK)
    await record.call("PUT /source/{uid}", SOURCE, uid=UK)
    token = await stores.routes.take(UK)
    assert token is not None
    await stores.routes.start(UK, ROUTE, 141_248_744, token=token, now_ms=NOW)
    await stores.routes.give_back(UK, token)
    await record.call("GET /source/{uid}", uid=UK)
    await record.call("GET /source")
    await record.call("GET /source/{uid}/route/{route}", uid=UK, route=ROUTE)
    await record.call("GET /source/{uid}/route/{route}/reading", uid=UK, route=ROUTE)
    await record.call("GET /source/{uid}/quarantine", uid=UK)


async def _subscriptions(record: Recorder) -> str:
    acme = {"name": "Acme Ltd", "uid": "acme", "sources": [UK], "filter": {"dgrpName": {"$in": ["Sales", "Service"]}}}
    await record.call("POST /app", acme)
    await record.call("POST /app", acme, query={"get_if_exists": "true"})
    await record.call("PUT /app/{app_id}", acme, app_id="acme")
    await record.call("PUT /app/{app_id}", {"name": "Globex Ltd"}, app_id="globex")
    await record.call("PATCH /app/{app_id}", {"metadata": {"plan": "gold"}}, app_id="acme")
    await record.call("GET /app/{app_id}", app_id="acme")
    await record.call("GET /app")
    crm = {
        "url": "https://crm.example.com/hooks/calls",
        "uid": "crm",
        "description": "Calls of at least a minute",
        "filterTypes": ["call.created", "call.updated"],
        "filter": {"callDuration": {"$gte": 60}},
    }
    names = {"app_id": "acme", "endpoint_id": "crm"}
    endpoint = (await record.call("POST /app/{app_id}/endpoint", crm, app_id="acme"))["id"]
    path = "/app/{app_id}/endpoint/{endpoint_id}"
    await record.call(f"PUT {path}", crm, **names)
    lake = {"url": "https://lake.example.com/in", "signatures": ["v1", "v1a"]}
    keys_of = (await record.call(f"PUT {path}", lake, app_id="acme", endpoint_id="lake"))["id"]
    await record.call(f"PATCH {path}", {"rateLimit": 20}, **names)
    await record.call(f"GET {path}", **names)
    await record.call("GET /app/{app_id}/endpoint", app_id="acme")
    await record.call(f"PUT {path}/headers", {"headers": {"X-Tenant": "acme"}}, **names)
    await record.call(f"PATCH {path}/headers", {"headers": {"X-Region": "uk"}}, **names)
    await record.call(f"GET {path}/headers", **names)
    await record.call(f"GET {path}/secret", **names)
    await record.call(f"POST {path}/secret/rotate", {}, **names)
    await record.call("GET /.well-known/webhook-keys/{endpoint_id}", endpoint_id=keys_of)
    await _event_types(record)
    await record.call("GET /recipe")
    await record.call("GET /recipe/{recipe}", recipe="hubspot-unattached-call")
    return str(endpoint)


async def _event_types(record: Recorder) -> None:
    schemas = {"1": {"type": "object", "properties": {"total": {"type": "number"}}}}
    paid = {"name": "invoice.paid", "description": "An invoice was paid.", "groupName": "invoice", "schemas": schemas}
    await record.call("POST /event-type", paid)
    void = {"description": "An invoice became void.", "groupName": "invoice"}
    await record.call("PUT /event-type/{name}", void, name="invoice.void")
    await record.call("PUT /event-type/{name}", void, name="invoice.void")
    await record.call("PATCH /event-type/{name}", {"deprecated": True}, name="invoice.void")
    await record.call("GET /event-type", query={"limit": "3"})
    await record.call("GET /event-type/{name}", name="invoice.paid")
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}
    sent = {"description": "An order was sent.", "tags": ["order"], "requestBody": body}
    spec = {
        "openapi": "3.1.0",
        "webhooks": {"order.sent": {"post": sent}},
        "components": {"schemas": {"Order": {"type": "object", "properties": {"id": {"type": "string"}}}}},
    }
    await record.call("POST /event-type/import/openapi", {"spec": spec, "dryRun": True})
    await record.call("POST /event-type/import/svix", {"eventTypes": [paid]})
    await record.call("DELETE /event-type/{name}", name="invoice.void")


async def _tally(stores: Stores, endpoint: str) -> None:
    """Attempts of the last minutes, as a worker counts them."""
    for minutes, marks in ((75, "241:61,549:2"), (2, "239:12,241:40,549:1,0103:1")):
        at, stream = NOW - minutes * 60_000, UK
        for unit, width in (("minute", 60_000), ("hour", 3_600_000)):
            name = tally_keys.ended(stream, EndpointId(endpoint), unit)  # type: ignore[arg-type]
            await stores.redis.rpush(name, f"{at // width} {marks}")  # type: ignore[misc]
        await stores.redis.zadd(tally_keys.failing(stream), {endpoint: at})


async def _statistics(record: Recorder, stores: Stores, endpoint: str) -> None:
    names = {"app_id": "acme", "endpoint_id": endpoint}
    await record.call("GET /app/{app_id}/endpoint/{endpoint_id}/history", query={"unit": "hour"}, **names)
    await record.call("GET /app/{app_id}/endpoint/{endpoint_id}/attempt-stats", **names)
    await record.call("GET /stats/failing-endpoint")
    await record.call("GET /stats/history", query={"unit": "hour"})
    time = {"since": "2026-09-20T00:00:00Z", "until": "2026-09-22T00:00:00Z"}
    await record.call("POST /stats/usage/app", {**time, "appIds": ["acme"]})
    await record.call("PUT /stats/usage/event-types")
    await record.call("POST /erasure", {"phone": "+442079460958", "dryRun": True})
    erasure = await _kept_erasure(stores)
    await record.call("GET /erasure")
    await record.call("DELETE /erasure/{erasure_id}", erasure_id=erasure)


async def _kept_erasure(stores: Stores) -> str:
    """An erasure whose task has finished."""
    kept = erasure_of(
        phone("+442079460958"),
        "qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2",
        key="00" * 32,
        until_ms=NOW,
        sources=None,
        by="admin",
    )
    await stores.erasures.keep(kept)
    await stores.erasures.note_found(kept.id, Found(events=3, past=1, attempts=2))
    return kept.id


async def _messages(record: Recorder, stores: Stores, endpoint: str) -> None:
    store = Store(stores)
    message = await store(UK, 141_248_745, to=[endpoint], **CALL)
    await attempt(stores, UK, message, endpoint, at_ms=NOW, status=503, verdict="retry")
    names = {"app_id": "acme", "endpoint_id": "crm", "msg_id": message}
    await record.call("GET /app/{app_id}/msg", **names)
    await record.call("GET /app/{app_id}/msg/{msg_id}", **names)
    await record.call("GET /app/{app_id}/msg/{msg_id}/explanation", **names)
    await record.call("GET /app/{app_id}/msg/{msg_id}/endpoint", **names)
    await record.call("GET /app/{app_id}/endpoint/{endpoint_id}/msg", **names)
    await record.call("GET /app/{app_id}/attempt/endpoint/{endpoint_id}", **names)
    (made,) = (await record.call("GET /app/{app_id}/attempt/msg/{msg_id}", **names))["data"]
    await record.call("GET /app/{app_id}/msg/{msg_id}/attempt/{attempt_id}", attempt_id=made["id"], **names)
    await record.call("POST /app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend", **names)
    await record.call("GET /app/{app_id}/endpoint/{endpoint_id}/stats", **names)
    await _replays(record)
    await record.call("PATCH /app/{app_id}/endpoint/{endpoint_id}", {"disabled": True}, **names)
    await record.call("GET /undelivered")
    await record.call("GET /stats/oldest-undelivered", query={"limit": 2})
    poller = {"app_id": "acme", "sink_id": "crm", "consumer_id": "worker-1"}
    await record.call("GET /app/{app_id}/poller/{sink_id}", **poller)
    await record.call("GET /app/{app_id}/poller/{sink_id}/consumer/{consumer_id}", **poller)
    seek = {"after": "2026-01-31T12:00:00Z"}
    await record.call("POST /app/{app_id}/poller/{sink_id}/consumer/{consumer_id}/seek", seek, **poller)
    await record.call("POST /app/{app_id}/msg/{msg_id}/recording/link", {"expiresInSeconds": 3600}, **names)
    await _traces(record, stores, names)
    await record.call("PATCH /app/{app_id}/endpoint/{endpoint_id}", {"disabled": False}, **names)
    paid = {"eventType": "invoice.paid", "eventId": "invoice-1042", "channels": ["europe"], "tags": ["vip"]}
    await record.call("POST /app/{app_id}/msg", {**paid, "payload": {"invoice": 1042, "total": 19.9}}, app_id="acme")
    free = await store(UK, 141_248_746, **CALL)
    await record.call("DELETE /app/{app_id}/msg/{msg_id}/content", **names | {"msg_id": free})


async def _traces(record: Recorder, stores: Stores, names: dict[str, str]) -> None:
    """With an upstream that answers, for as long as that takes."""
    rows = [each | {"vid": CALL["vid"], "dgrpName": "Sales"} for each in JOURNEY]
    sent = answer("200 OK", b"".join(msgspec.json.encode(each) + b"\n" for each in rows), kind="application/x-ndjson")
    upstream = Upstream(sent)
    async with await asyncio.start_server(upstream.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        before = await stores.sources.get(UK)
        await stores.sources.put(UK, lambda old: structs.replace(old, base_url=url))  # type: ignore[type-var]
        await record.call("GET /app/{app_id}/msg/{msg_id}/visitor-trace", **names)
        changed = {"include": ["recordingUrl", "visitorTraceUrl"]}
        made = await record.call("PATCH /app/{app_id}/endpoint/{endpoint_id}", changed, **names)
        app = (await stores.applications.get("acme")).id
        own = {"app_id": app, "endpoint_id": made["id"], "msg_id": names["msg_id"]}
        expires_s = NOW // 1000 + 86_400
        text = trace_text(*own.values(), expires_s)
        query = {"expires": expires_s, "signature": sign_link(stores.vault.derived(PURPOSE)[0], text)}
        plain = {"authorization": ""}
        await record.call("GET /visitor-trace/{app_id}/{endpoint_id}/{msg_id}", query=query, headers=plain, **own)
        await stores.sources.put(UK, lambda _: before)


async def _replays(record: Recorder) -> None:
    names, path = {"app_id": "acme", "endpoint_id": "crm"}, "/app/{app_id}/endpoint/{endpoint_id}"
    since = {"since": "2026-09-20T10:00:00Z"}
    await record.call(f"POST {path}/recover", since, **names)
    await record.call(f"POST {path}/replay-missing", since | {"rate": 50}, **names)
    bulk = since | {"eventTypes": ["call.created"], "states": ["delivered"], "dryRun": True}
    task = (await record.call(f"POST {path}/bulk-replay", bulk, **names))["id"]
    await record.call(f"POST {path}/send-example", {"eventType": "call.created"}, **names)
    code = '{"Subject": "Call from " & data.trigger.srcPhoneNumber, "Seconds": data.trigger.callDuration}'
    await record.call(f"PATCH {path}/transformation", {"code": code}, **names)
    await record.call(f"GET {path}/transformation", **names)
    await record.call(f"POST {path}/transformation/test", {"eventType": "call.created"}, **names)
    await record.call("GET /background-task")
    await record.call("GET /background-task/{task_id}", task_id=task)
    await record.call("DELETE /background-task/{task_id}", task_id=task)


async def _steering(record: Recorder) -> None:
    for object_path in ("/source/{uid}", "/source/{uid}/route/{route}"):
        for what in ("pause", "resume", "poll"):
            await record.call(f"POST {object_path}/{what}", uid=UK, route=ROUTE)
    backfill = {"route": ROUTE, "afterRowId": 141_000_000, "untilRowId": 141_248_745, "endpoints": "none"}
    made = await record.call("POST /source/{uid}/backfill", backfill, uid=UK)
    await record.call("GET /source/{uid}/backfill", uid=UK)
    await record.call("GET /source/{uid}/backfill/{backfill_id}", uid=UK, backfill_id=made["id"])
    await record.call("DELETE /source/{uid}/backfill/{backfill_id}", uid=UK, backfill_id=made["id"])
    await record.call("PUT /source/{uid}/route/{route}/cursor", {"rowId": 141_248_000}, uid=UK, route=ROUTE)


async def _reconciliations(record: Recorder, stores: Stores, endpoint: str) -> None:
    asked = {"afterRowId": 141_248_000, "untilRowId": 141_249_000}
    run = await record.call("POST /source/{uid}/reconciliation", asked, uid=UK)
    names = {"uid": UK, "reconciliation_id": run["id"]}
    path = "/source/{uid}/reconciliation"
    await _ended(stores, run["id"], endpoint)
    await record.call(f"GET {path}", uid=UK)
    await record.call(f"GET {path}/{{reconciliation_id}}", **names)
    await record.call(f"GET {path}/{{reconciliation_id}}/difference", **names)
    await record.call(f"GET {path}/{{reconciliation_id}}/endpoint", **names)
    await record.call(f"POST {path}/{{reconciliation_id}}/repair", {}, **names)


async def _ended(stores: Stores, run_id: str, endpoint: str) -> None:
    """A worker has ended the reconciliation, and found a row that the relay has no event of."""
    before = await stores.reconciliations.get(UK, run_id)
    after = msgspec.structs.replace(
        before, phase="done", ended_at_ms=NOW + 5000, position={"t": 141_249_000}, ends={"t": 141_249_000},
        shown=2, stored=1, events=1, found={"missing": 1}, endpoints={EndpointId(endpoint): Counts(confirmed=1)},
    )  # fmt: skip
    found = [Difference("missing", "t", 141_248_746, ROUTE)]
    await stores.reconciliations.save(UK, before, after, differences=found)


async def _keys(record: Recorder) -> None:
    made = await record.call("POST /key", {"name": "CRM", "scopes": ["read", "endpoint:write"], "appId": "acme"})
    await record.call("GET /key")
    await record.call("GET /key/{key_id}", key_id=made["id"])
    await record.call("PATCH /key/{key_id}", {"name": "CRM of Acme"}, key_id=made["id"])
    await record.call("POST /key/{key_id}/rotate", {}, key_id=made["id"])
    await record.call("DELETE /key/{key_id}", key_id=made["id"])
    asked = {"expiry": 3600, "capabilities": ["ViewBase", "CreateAttempts"], "sessionId": "user-7"}
    given = await record.call("POST /auth/app-portal-access/{app_id}", asked, app_id="acme")
    await record.call("POST /portal/token", {"code": given["url"].rpartition("/")[2]})
    await record.call("POST /auth/logout", headers={"authorization": f"Bearer {given['token']}"})
    await record.call("POST /auth/app/{app_id}/expire-all", {"sessionIds": ["user-7"]}, app_id="acme")


async def _operator(record: Recorder, stores: Stores) -> None:
    data = {"source": UK, "route": ROUTE, "cursor": 141_248_745, "lastError": None}
    await stores.operations.note("source.lagging", data, now_ms=NOW)
    await record.call("GET /operational-event")
    await _operational_endpoints(record)
    await record.call("GET /audit", query={"limit": 2})
    await record.call("GET /health/live")
    await record.call("GET /health/ready")
    await record.call("GET /health")


async def _operational_endpoints(record: Recorder) -> None:
    alarms = {
        "url": "https://ops.example.com/relay",
        "uid": "alarms",
        "eventTypes": ["source.lagging", "endpoint.disabled"],
    }
    path, names = "/operational-webhook/endpoint/{endpoint_id}", {"endpoint_id": "alarms"}
    await record.call("POST /operational-webhook/endpoint", alarms)
    await record.call(f"PUT {path}", alarms, **names)
    await record.call(f"PUT {path}", {"url": "https://ops.example.com/all"}, endpoint_id="all")
    await record.call(f"PATCH {path}", {"description": "Wakes the operator"}, **names)
    await record.call(f"GET {path}", **names)
    await record.call("GET /operational-webhook/endpoint")
    await record.call(f"PUT {path}/headers", {"headers": {"X-Team": "operations"}}, **names)
    await record.call(f"GET {path}/headers", **names)
    await record.call(f"GET {path}/secret", **names)
    await record.call(f"POST {path}/secret/rotate", {}, **names)
    await record.call(f"DELETE {path}", endpoint_id="all")


async def _errors(record: Recorder, stores: Stores) -> None:
    """One of every kind."""
    reader = (await record.call("POST /key", {"name": "Reader", "scopes": ["read"]}))["token"]
    json_type = {"content-type": "application/json"}
    await record.refused("GET /app", headers={"authorization": "Bearer wrong"})
    await record.refused("POST /app", {"name": "n"}, headers={"authorization": f"Bearer {reader}"})
    await record.refused("GET /app/{app_id}", app_id="absent")
    await record.refused("POST /app", {"name": "Acme", "uid": "acme"})
    await record.refused("POST /app/{app_id}/endpoint", {"url": "http://10.0.0.1/", "colour": 1}, app_id="acme")
    await record.refused("POST /app", b"{", headers=json_type)
    await record.refused("POST /app", b"a" * 2**21, headers=json_type)
    await record.refused("POST /app", b"<name/>", headers={"content-type": "application/xml"})
    await record.refused("DELETE /source/{uid}", uid=UK)


async def _deletions(record: Recorder) -> None:
    await record.call("DELETE /app/{app_id}/endpoint/{endpoint_id}", app_id="acme", endpoint_id="lake")
    await record.call("DELETE /app/{app_id}", app_id="acme")
    await record.call("DELETE /source/{uid}", uid=UK)

"""Statistics: counts over time, the health of endpoints, those that fail, and usage by application."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from svix.api import (
    AppUsageStatsIn,
    EndpointGetAttemptStatsOptions,
    SvixAsync,
)

from relay.domain.breaking import Condition
from relay.domain.model import EndpointId, SourceUid
from relay.domain.streams import posts_of
from relay.domain.tallies import UNIT_MS, Unit, mark_of
from relay.store import keys, retries, tally_keys
from relay.store.usage import KEPT
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, B, Store
from tests.integration.api.test_messages import attempt

ENDPOINT = {"url": "https://hooks.example.com/in"}
HOUR = UNIT_MS["hour"]
MINUTE = UNIT_MS["minute"]


def at(when_ms: int) -> str:
    """A time for a request."""
    return datetime.fromtimestamp(when_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


async def counted(
    stores: Stores, stream: SourceUid, endpoint: str, when_ms: int, *tries: tuple[int, int], unit: Unit = "minute"
) -> None:
    """A minute, or an hour, of attempts that ended: statuses with durations, as a script writes them."""
    marks = [f"{mark_of(status, ms, succeeded=status // 100 == 2)}:1" for status, ms in tries]
    name = tally_keys.ended(stream, EndpointId(endpoint), unit)
    await stores.redis.rpush(name, f"{when_ms // UNIT_MS[unit]} {','.join(marks)}")  # type: ignore[misc]
    if any(status // 100 != 2 for status, _ in tries):
        await stores.redis.zadd(tally_keys.failing(stream), {endpoint: when_ms})


async def endpoint(http: httpx.AsyncClient, name: str, app: str = "one", **fields: Any) -> str:
    """An endpoint's id."""
    await http.put(f"/app/{app}", json={"name": app})
    return str((await http.put(f"/app/{app}/endpoint/{name}", json=ENDPOINT | fields)).json()["id"])


async def test_an_endpoint_over_time(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """Minutes of all sources are merged; counts by class, and how long attempts took; the last hour unless asked."""
    crm = await endpoint(http, "crm")
    await counted(stores, A, crm, NOW - 2 * HOUR, (200, 1))
    await counted(stores, A, crm, NOW - 10 * MINUTE, (200, 10), (200, 12), (0, 20_000))
    await counted(stores, B, crm, NOW - 10 * MINUTE, (503, 30))
    await counted(stores, B, crm, NOW - 2 * MINUTE, (404, 5))
    history = (await http.get("/app/one/endpoint/crm/history")).json()
    first, second = history["buckets"]
    assert (first["success"], first["fail"], first["byClass"]) == (2, 2, {"none": 1, "2xx": 2, "5xx": 1})
    assert (second["success"], second["fail"], second["byClass"]) == (0, 1, {"4xx": 1})
    assert first["at"].endswith(":00.000Z")
    assert 12 <= first["durationMs"]["p50"] <= 15
    assert 20_000 <= first["durationMs"]["p95"] <= 25_000
    assert (history["unit"], history["total"]["success"], history["total"]["fail"]) == ("minute", 2, 3)
    asked = {"since": at(NOW - 3 * HOUR), "until": at(NOW - HOUR)}
    older = (await http.get("/app/one/endpoint/crm/history", params=asked)).json()
    assert [each["success"] for each in older["buckets"]] == [1]
    empty = (await http.get("/app/one/endpoint/crm/history", params={"unit": "hour"})).json()
    assert (empty["buckets"], empty["total"]["durationMs"]) == ([], {"p50": None, "p95": None})
    wrong = await http.get("/app/one/endpoint/crm/history", params={"since": at(NOW), "until": at(NOW)})
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["query", "since"])


async def test_what_is_under_way_is_counted(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """The minute and the hour that have not ended; a minute that ends while it is read counts once."""
    crm = EndpointId(await endpoint(http, "crm"))
    minute = NOW // MINUTE
    good, bad = mark_of(200, 5, succeeded=True), mark_of(500, 5, succeeded=False)
    text = f"{minute} {good}:3 {good}:4,{bad}:1"
    await stores.redis.set(tally_keys.tally(A, crm), text)
    until = {"until": at(NOW + HOUR), "since": at(NOW - HOUR)}
    for unit, success, fail in (("minute", 3, 0), ("hour", 7, 1)):
        total = (await http.get("/app/one/endpoint/crm/history", params={"unit": unit, **until})).json()["total"]
        assert (total["success"], total["fail"]) == (success, fail)
    await counted(stores, A, crm, minute * MINUTE, (200, 5), (200, 5), (200, 5))
    total = (await http.get("/app/one/endpoint/crm/history", params=until)).json()["total"]
    assert total["success"] == 3


async def test_svix_clients_count_attempts(
    svix: SvixAsync, http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    """`get_attempt_stats` counts hours, and `get_stats` still has Svix's shape."""
    crm = await endpoint(http, "crm")
    await counted(stores, A, crm, NOW - 3 * HOUR, (200, 1), (200, 1), (500, 1), unit="hour")
    await counted(stores, B, crm, NOW - 30 * HOUR, (200, 1), unit="hour")
    found = await svix.endpoint.get_attempt_stats("one", "crm")
    assert (found.success, found.fail, found.canceled) == (3, 1, 0)
    since = EndpointGetAttemptStatsOptions(since=datetime.fromtimestamp((NOW - 5 * HOUR) / 1000, UTC))
    assert (await svix.endpoint.get_attempt_stats("one", "crm", since)).success == 2
    assert (await svix.endpoint.get_stats("one", "crm")).success == 0


async def test_the_health_of_an_endpoint(http: httpx.AsyncClient, stores: Stores, store: Store, clock: Any) -> None:
    """What waits, since when, the breaker, and why nothing is sent."""
    crm = await endpoint(http, "crm")
    path = "/app/one/endpoint/crm/stats"
    health = (await http.get(path)).json()["health"]
    assert health == {
        "state": "working", "disabledReason": None, "breaker": "closed", "breakerOpenSince": None, "failingSince": None,
        "resumesAt": None, "waiting": 0, "retrying": 0, "keptBytes": 0, "oldestWaitingAt": None,
        "oldestWaitingRowId": None, "complete": True,
    }  # fmt: skip
    await store(A, 1, to=[crm], at_ms=NOW - 5000)
    await store(A, 2, to=[crm], at_ms=NOW - 1000)
    await store(B, 1, to=[crm], at_ms=NOW - 9000)
    health = (await http.get(path)).json()["health"]
    assert (health["waiting"], health["oldestWaitingAt"]) == (3, at(NOW - 9000).replace("Z", ".000Z"))
    assert (health["oldestWaitingRowId"], health["retrying"], health["complete"]) == ("1", 0, True)
    assert health["keptBytes"] > 300
    await stores.redis.hset(keys.CONDITIONS, crm, condition(failing=NOW - 60_000, opens=2, until=NOW + 20_000))  # type: ignore[misc]
    health = (await http.get(path)).json()["health"]
    assert health["breakerOpenSince"] == at(NOW - 50_000).replace("Z", ".000Z")
    assert (health["state"], health["breaker"], health["failingSince"], health["resumesAt"]) == (
        "resting", "open", at(NOW - 60_000).replace("Z", ".000Z"), at(NOW + 20_000).replace("Z", ".000Z"),
    )  # fmt: skip
    await http.patch("/app/one/endpoint/crm", json={"paused": True})
    assert (await http.get(path)).json()["health"]["state"] == "paused"
    await http.patch("/app/one/endpoint/crm", json={"disabled": True})
    health = (await http.get(path)).json()["health"]
    assert (health["state"], health["disabledReason"]) == ("disabled", "disabled through the API")


def condition(*, failing: int = 0, opens: int = 0, until: int = 0) -> str:
    """The condition of an endpoint as the store keeps it."""
    opened = failing + 10_000 if opens else 0
    return Condition(failing_since_ms=failing, opens=opens, until_ms=until, opened_ms=opened).text()


async def wait(stores: Stores, crm: str, name: str, *, stream: SourceUid = A) -> None:
    """What waits in the lane of an endpoint waits elsewhere from now on: for a retry, behind a key, or in flight."""
    endpoint_id = EndpointId(crm)
    lane = keys.lane(stream, endpoint_id)
    while (reference := await stores.redis.lpop(lane)) is not None:  # type: ignore[misc]
        match name:
            case "due":
                await stores.redis.zadd(keys.due(stream), {f"{crm} {reference.decode()}:2": NOW})
            case "behind":
                await stores.redis.hset(keys.blocked(stream, endpoint_id), "1.k", 1)  # type: ignore[misc]
                await stores.redis.rpush(keys.waiting(stream, endpoint_id, "1.k"), reference)  # type: ignore[misc]
            case "flight":
                await stores.redis.sadd(keys.flight(stream, endpoint_id), reference)  # type: ignore[misc]


async def test_everything_that_waits_is_counted(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """In the lane, in flight, behind a key, and for a retry, also of other endpoints: the oldest is found anywhere."""
    crm, erp = await endpoint(http, "crm"), await endpoint(http, "erp")
    for row, name in enumerate(("due", "flight", "behind", "lane"), 1):
        await store(A, row, to=[crm], at_ms=NOW - 10_000 + row)
        if name != "lane":
            await wait(stores, crm, name)
    await store(B, 9, to=[crm, erp], at_ms=NOW)
    await wait(stores, crm, "due", stream=B)
    await wait(stores, erp, "due", stream=B)
    health = (await http.get("/app/one/endpoint/crm/stats")).json()["health"]
    assert (health["waiting"], health["retrying"]) == (5, 2)
    assert (health["oldestWaitingRowId"], health["complete"]) == ("1", True)
    await stores.redis.delete(keys.due(A))
    health = (await http.get("/app/one/endpoint/crm/stats")).json()["health"]
    assert (health["waiting"], health["retrying"], health["oldestWaitingRowId"]) == (4, 1, "2")


async def test_what_is_counted_is_bounded(
    http: httpx.AsyncClient, stores: Stores, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more retries than one request looks at, the counts are at least as high, and say so."""
    crm, erp = EndpointId(await endpoint(http, "crm")), EndpointId(await endpoint(http, "erp"))
    many = {f"{each} a{n}:2:00000:2": NOW + n for n in range(2000) for each in (crm, erp)}
    await stores.redis.zadd(keys.due(A), many)
    monkeypatch.setattr(retries, "LOOKED_AT", 2000)
    health = (await http.get("/app/one/endpoint/crm/stats")).json()["health"]
    assert 1 <= health["waiting"] < 2000
    assert health["complete"] is False
    found, complete = await retries.read_retries(stores.redis, [(crm, A), (erp, A)])
    assert 2000 <= sum(each.number for each in found.values()) < 4000
    assert not complete
    monkeypatch.setattr(retries, "LOOKED_AT", 10_000)
    found, complete = await retries.read_retries(stores.redis, [(crm, A), (erp, A), (erp, B)])
    assert {pair: each.number for pair, each in found.items()} == {(crm, A): 2000, (erp, A): 2000}
    assert complete


async def test_failing_endpoints_are_listed_worst_first(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """By the oldest event that waits, then by the last failure; over all applications, and each sees its own."""
    names = ("fine", "early", "late", "young", "oldest", "long_ago")
    ids = {name: await endpoint(http, name, app="one" if name != "late" else "two") for name in names}
    await counted(stores, A, ids["fine"], NOW - MINUTE, (200, 1), (200, 1))
    await counted(stores, A, ids["early"], NOW - 2 * MINUTE, (200, 1), (500, 1))
    await counted(stores, A, ids["late"], NOW - MINUTE, (500, 1), (500, 1))
    await counted(stores, B, ids["young"], NOW - 3 * MINUTE, (200, 1), (200, 1), (0, 1))
    await counted(stores, B, ids["oldest"], NOW - 3 * MINUTE, (410, 1))
    await counted(stores, B, ids["long_ago"], NOW - 3 * HOUR, (500, 1))
    await counted(stores, A, "ep_gone", NOW - MINUTE, (500, 1))
    await store(B, 6, to=[ids["oldest"]], at_ms=NOW - HOUR)
    await wait(stores, ids["oldest"], "due", stream=B)
    await store(B, 7, to=[ids["young"], ids["oldest"]], at_ms=NOW - MINUTE)
    found = (await http.get("/stats/failing-endpoint")).json()
    assert [each["endpointUid"] for each in found["data"]] == ["oldest", "young", "late", "early"]
    assert found["data"][0]["health"]["oldestWaitingRowId"] == "6"
    assert found["data"][3]["attempts"]["byClass"] == {"2xx": 1, "5xx": 1}
    assert found["data"][2]["lastFailedAt"].startswith(at(NOW - MINUTE)[:16])
    longer = (await http.get("/stats/failing-endpoint", params={"hours": "24"})).json()
    assert "long_ago" in [each["endpointUid"] for each in longer["data"]]
    of_two = (await http.get("/stats/failing-endpoint", params={"app": "two"})).json()
    assert [each["endpointUid"] for each in of_two["data"]] == ["late"]
    key = (await http.post("/key", json={"name": "k", "scopes": ["endpoint:read"], "appId": "two"})).json()["token"]
    own = (await http.get("/stats/failing-endpoint", headers={"authorization": f"Bearer {key}"})).json()
    assert [each["endpointUid"] for each in own["data"]] == ["late"]


async def test_an_old_backlog_is_listed_until_it_is_gone(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """Of an endpoint that is disabled, or whose breaker is open, however long ago it failed.

    One that is only paused is listed when it has failed lately.
    """
    ids = {name: await endpoint(http, name) for name in ("off", "paused", "open", "empty", "busy")}
    for row, name in enumerate(("off", "paused", "open", "busy"), 1):
        await store(A, row, to=[ids[name]], at_ms=NOW - 48 * HOUR + row)
    await stores.redis.zadd(keys.parked(A), {ids[name]: NOW for name in ("off", "paused", "empty")})
    opened = condition(failing=NOW - 40 * HOUR, opens=9, until=NOW + 5000)
    await stores.redis.hset(keys.CONDITIONS, ids["open"], opened)  # type: ignore[misc]
    await http.patch("/app/one/endpoint/paused", json={"paused": True})
    await http.patch("/app/one/endpoint/off", json={"disabled": True})
    found = (await http.get("/stats/failing-endpoint")).json()["data"]
    assert [each["endpointUid"] for each in found] == ["off", "open"]
    assert [each["health"]["state"] for each in found] == ["disabled", "resting"]
    assert [each["lastFailedAt"] for each in found] == [None] * 2
    assert found[1]["health"]["breakerOpenSince"] == at(NOW - 40 * HOUR + 10_000).replace("Z", ".000Z")
    await stores.redis.delete(keys.lane(A, EndpointId(ids["off"])))
    found = (await http.get("/stats/failing-endpoint")).json()["data"]
    assert [each["endpointUid"] for each in found] == ["open"]
    await counted(stores, A, ids["paused"], NOW - 60_000, (500, 10))
    found = (await http.get("/stats/failing-endpoint")).json()["data"]
    assert [(each["endpointUid"], each["health"]["state"]) for each in found] == [
        ("paused", "paused"), ("open", "resting"),
    ]  # fmt: skip


async def test_the_last_failure_is_shown(http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """Its status and error, also after a success; of the URL, the host alone."""
    crm = await endpoint(http, "crm", url="https://hooks.example.com:8443/secret/path?token=1")
    message = await store(A, 1)
    await attempt(stores, A, message, crm, at_ms=NOW - 3000, status=500, verdict="retry")
    await attempt(stores, A, message, crm, at_ms=NOW - 2000, status=0, verdict="retry", error="timeout")
    await attempt(stores, A, message, crm, at_ms=NOW - 1000, status=200, verdict="delivered")
    await counted(stores, A, crm, NOW - MINUTE, (0, 1))
    erp = await endpoint(http, "erp")
    await counted(stores, A, erp, NOW - 2 * MINUTE, (500, 1))
    first, second = (await http.get("/stats/failing-endpoint")).json()["data"]
    assert (first["lastStatus"], first["lastError"], first["urlHost"]) == (0, "timeout", "hooks.example.com:8443")
    assert "secret" not in str(first)
    assert (second["lastStatus"], second["lastError"], second["urlHost"]) == (None, None, "hooks.example.com")


async def test_svix_clients_count_usage(svix: SvixAsync, http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """The task has ended at once, and its result has every application that is asked for."""
    ids = {name: await endpoint(http, name, app=name) for name in ("one", "two", "three")}
    for name, count in (("one", 2), ("two", 3)):
        await counted(stores, A, ids[name], NOW - 3 * HOUR, *[(200, 1)] * count, unit="hour")
    await counted(stores, B, ids["one"], NOW - 30 * HOUR, (500, 1), unit="hour")
    since = datetime.fromtimestamp((NOW - 5 * HOUR) / 1000, UTC)
    until = datetime.fromtimestamp(NOW / 1000, UTC)
    made = await svix.statistics.aggregate_app_stats(AppUsageStatsIn(since=since, until=until))
    assert (made.status.value, made.task.value, made.unresolved_app_ids) == ("finished", "application.stats", [])
    task = await svix.background_task.get(made.id)
    assert {each["appUid"]: each["messageDestinations"] for each in task.data["appStats"]} == {
        "one": 2, "two": 3, "three": 0,
    }  # fmt: skip
    assert made.id in [each.id for each in (await svix.background_task.list()).data]
    some = AppUsageStatsIn(since=since, until=until, app_ids=["one", "nobody"])
    made = await svix.statistics.aggregate_app_stats(some)
    assert made.unresolved_app_ids == ["nobody"]
    stats = (await svix.background_task.get(made.id)).data["appStats"]
    assert [each["appUid"] for each in stats] == ["one"]
    none = {"since": at(NOW - HOUR), "until": at(NOW), "appIds": ["nobody"]}
    answer = await http.post("/stats/usage/app", json=none)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "appIds"])
    answer = await http.post("/stats/usage/app", json=none | {"until": none["since"]})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "since"])


async def test_svix_clients_aggregate_event_types(svix: SvixAsync, http: httpx.AsyncClient) -> None:
    """By application: what endpoints name, and whether one takes everything."""
    await endpoint(http, "a", app="one", eventTypes=["call.created"])
    await endpoint(http, "b", app="one", eventTypes=["goal.created", "call.created"])
    await endpoint(http, "c", app="two")
    made = await svix.statistics.aggregate_event_types()
    found = (await svix.background_task.get(made.id)).data["event_types"]
    shown = sorted((each["hasCatchAllEndpoint"], each["explicitlySubscribedEventTypes"]) for each in found)
    assert shown == [(False, ["call.created", "goal.created"]), (True, [])]


async def test_results_are_kept_for_a_while(http: httpx.AsyncClient, stores: Stores, clock: Any) -> None:
    """The newest, for the operator alone; an ended task cannot be cancelled."""
    await http.put("/app/one", json={"name": "One"})
    made = []
    for n in range(KEPT + 2):
        clock.at_ms = NOW + n
        made.append((await http.put("/stats/usage/event-types")).json()["id"])
    listed = [each["id"] for each in (await http.get("/background-task")).json()["data"]]
    assert listed == made[:1:-1]
    assert 0 < await stores.redis.pttl(tally_keys.USAGE) <= 7 * 24 * HOUR
    assert (await http.delete(f"/background-task/{made[-1]}")).status_code == 204
    key = (await http.post("/key", json={"name": "k", "scopes": ["read", "write"], "appId": "one"})).json()["token"]
    mine = {"authorization": f"Bearer {key}"}
    assert (await http.get("/background-task", headers=mine)).json()["data"] == []
    assert (await http.get(f"/background-task/{made[-1]}", headers=mine)).status_code == 404
    assert (await http.put("/stats/usage/event-types", headers=mine)).status_code == 403
    kinds = (await http.get("/background-task", params={"task": "event-type.aggregate", "limit": "1"})).json()["data"]
    assert [each["id"] for each in kinds] == [made[-1]]


async def test_posts_are_counted_as_rows_are(http: httpx.AsyncClient, stores: Stores) -> None:
    """The posts of an application are a stream like a source."""
    crm = await endpoint(http, "crm")
    posted = (await http.post("/app/one/msg", json={"eventType": "a.b", "payload": {}})).status_code
    assert posted == 202
    app = (await http.get("/app/one")).json()["id"]
    await counted(stores, posts_of(app), crm, NOW - MINUTE, (200, 1), (503, 1))
    assert (await http.get("/app/one/endpoint/crm/history")).json()["total"]["fail"] == 1
    found = (await http.get("/stats/failing-endpoint")).json()["data"]
    assert [each["endpointUid"] for each in found] == ["crm"]


async def test_an_unfit_endpoint_with_a_backlog_is_not_shown_as_working(
    http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    """Its own filter, or that of its application, cannot be used: its state is `unfit` wherever health is shown."""
    ids = {name: await endpoint(http, name) for name in ("hidden", "fit")}
    await store(A, 1, to=[ids["hidden"]], at_ms=NOW)
    await stores.redis.zadd(keys.parked(A), {ids["hidden"]: NOW})
    await http.patch("/app/one/endpoint/hidden", json={"filter": {"num": "+442079460958"}})
    await http.patch("/app/one", json={"privacy": [{"field": "num", "action": "drop"}]})
    (listed,) = (await http.get("/stats/failing-endpoint")).json()["data"]
    assert (listed["endpointUid"], listed["health"]["state"], listed["health"]["waiting"]) == ("hidden", "unfit", 1)
    for name, state in (("hidden", "unfit"), ("fit", "working")):
        assert (await http.get(f"/app/one/endpoint/{name}/stats")).json()["health"]["state"] == state
        assert (await http.get(f"/app/one/endpoint/{name}/history")).json()["health"]["state"] == state
    await http.patch("/app/one/endpoint/hidden", json={"paused": True})
    assert (await http.get("/app/one/endpoint/hidden/stats")).json()["health"]["state"] == "paused"

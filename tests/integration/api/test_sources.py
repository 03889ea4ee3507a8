"""Sources through the API."""

from typing import Any

import httpx
import pytest

from relay.api.schemas.sources import UNREACHABLE
from relay.domain.credentials import BasicAuth
from relay.domain.lags import Lags
from relay.domain.model import ROUTES, ApiKeyAuth, SourceUid
from relay.store import keys
from relay.wiring import Stores

SOURCE: dict[str, Any] = {
    "name": "Main",
    "baseUrl": "https://api.example.com/",
    "version": "v2.1",
    "igrp": 7,
    "auth": {"type": "apiKey", "key": "canary-key"},
    "routes": ["callsGoalsTransactions", "itemisedCalls"],
    "pollIntervalSeconds": 0.5,
    "batchSize": 200,
    "startRowId": 10,
}
S = SourceUid("s")


async def test_a_source_is_made_then_changed(http: httpx.AsyncClient, stores: Stores) -> None:
    """201, then 200; what is left out of a later PUT has its default, and no cursor moves."""
    made = await http.put("/source/s", json=SOURCE)
    assert made.status_code == 201
    token = await stores.routes.take(S)
    assert token is not None
    await stores.routes.start(S, "callsGoalsTransactions", 99, token=token, now_ms=0)
    changed = await http.put(
        "/source/s", json={k: SOURCE[k] for k in ("baseUrl", "igrp", "routes")} | {"startRowId": 5}
    )
    assert changed.status_code == 200
    source = (await http.get("/source/s")).json()
    assert source == changed.json()
    assert (source["name"], source["baseUrl"], source["pollIntervalSeconds"]) == ("s", "https://api.example.com", 60)
    assert source["routes"] == ["callsGoalsTransactions", "itemisedCalls"]
    assert source["routeStates"]["callsGoalsTransactions"]["cursor"] == 99
    assert source["routeStates"]["itemisedCalls"]["cursor"] is None


async def test_upstream_secrets_go_in_and_never_out(http: httpx.AsyncClient, stores: Stores) -> None:
    """Neither an answer nor a list nor an error shows the key or the password."""
    texts = [
        (await http.put("/source/s", json=SOURCE)).text,
        (
            await http.put(
                "/source/t", json=SOURCE | {"auth": {"type": "basic", "username": "u", "password": "canary"}}
            )
        ).text,
        (await http.put("/source/t", json=SOURCE | {"auth": {"type": "basic", "password": ["canary"]}})).text,
        (await http.get("/source/s")).text,
        (await http.get("/source")).text,
    ]
    assert all("canary" not in text for text in texts)
    assert (await stores.sources.get(S)).auth == ApiKeyAuth("canary-key")


@pytest.mark.parametrize(
    ("later", "auth"),
    [
        (None, BasicAuth("u", "p")),
        ({"type": "basic"}, BasicAuth("u", "p")),
        ({"type": "basic", "username": "u", "password": "p"}, BasicAuth("u", "p")),
        ({"type": "basic", "password": "q"}, BasicAuth("u", "q")),
        ({"type": "apiKey", "key": "k"}, ApiKeyAuth("k")),
    ],
)
async def test_secrets_that_are_left_out_stay(
    http: httpx.AsyncClient, stores: Stores, later: dict[str, str] | None, auth: Any
) -> None:
    """A PUT without them keeps them. Whatever it has, a route that was stopped asks again at once."""
    first = SOURCE | {"auth": {"type": "basic", "username": "u", "password": "p"}}
    await http.put("/source/s", json=first)
    body = {k: v for k, v in SOURCE.items() if k != "auth"} | ({"auth": later} if later else {})
    assert (await http.put("/source/s", json=body)).status_code == 200
    source = await stores.sources.get(S)
    assert (source.auth, source.times_written) == (auth, 2)


@pytest.mark.parametrize(
    ("url", "moved"),
    [
        ("https://api.example.com", False),
        ("https://API.example.com:443/proxy/", False),
        ("http://api.example.com", True),
        ("https://api.example.com:8443", True),
        ("https://api.example.com.evil.test", True),
    ],
)
async def test_secrets_follow_no_source_to_another_host(
    http: httpx.AsyncClient, stores: Stores, url: str, moved: bool
) -> None:
    """Whoever moves a source must know its credentials: another scheme, host or port would be sent them."""
    basic = {"type": "basic", "username": "u", "password": "p"}
    await http.put("/source/s", json=SOURCE | {"auth": basic})
    without = {k: v for k, v in SOURCE.items() if k != "auth"} | {"baseUrl": url}
    answers = [
        await http.put("/source/s", json=without),
        await http.put("/source/s", json=without | {"auth": {"type": "basic", "username": "u"}}),
    ]
    assert [answer.status_code for answer in answers] == [422 if moved else 200] * 2
    if moved:
        faults = [answer.json()["detail"][0] for answer in answers]
        assert [fault["loc"] for fault in faults] == [["body", "auth"], ["body", "auth", "password"]]
        assert "another scheme, host or port" in faults[0]["msg"]
        assert (await stores.sources.get(S)).base_url == "https://api.example.com"
    assert (await http.put("/source/s", json=without | {"auth": basic})).status_code == 200


async def test_another_user_name_requires_its_password(http: httpx.AsyncClient, stores: Stores) -> None:
    """The stored password is that of the stored user: it is never sent with another name."""
    basic = {"type": "basic", "username": "u", "password": "p"}
    await http.put("/source/s", json=SOURCE | {"auth": basic})
    answer = await http.put("/source/s", json=SOURCE | {"auth": {"type": "basic", "username": "v"}})
    (fault,) = answer.json()["detail"]
    assert (answer.status_code, fault["loc"], fault["type"]) == (422, ["body", "auth", "password"], "value_error")
    assert (await stores.sources.get(S)).auth == BasicAuth("u", "p")
    for auth in ({"type": "basic", "username": "u"}, basic | {"username": "v"}):
        assert (await http.put("/source/s", json=SOURCE | {"auth": auth})).status_code == 200


async def test_a_new_source_needs_its_secrets(http: httpx.AsyncClient) -> None:
    """Also one that changes to another kind of credentials."""
    without = {k: v for k, v in SOURCE.items() if k != "auth"}
    assert (await http.put("/source/s", json=without)).json()["detail"][0]["loc"] == ["body", "auth"]
    await http.put("/source/s", json=SOURCE)
    answer = await http.put("/source/s", json=SOURCE | {"auth": {"type": "basic", "username": "u"}})
    assert answer.json()["detail"][0]["loc"] == ["body", "auth", "password"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.test", "https://", "https://u:p@x.test", "https://x.test/?a=1", "https://x.test/#a", "x.test",
        "https://x.test/reports", "https://x.test/a/Reports/v2", "https://x.test:0", "https://x.te st", "https://[::1",
    ],
)  # fmt: skip
async def test_a_base_url_is_refused_that_the_relay_could_not_poll(http: httpx.AsyncClient, url: str) -> None:
    """It is http or https, ends before /reports, and holds neither credentials nor a query nor a fragment."""
    answer = await http.put("/source/s", json=SOURCE | {"baseUrl": url})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "baseUrl"]


@pytest.mark.parametrize("url", ["http://10.0.0.1:8080", "http://localhost/proxy/infinity", "https://x.test"])
async def test_the_operator_may_poll_private_addresses(http: httpx.AsyncClient, url: str) -> None:
    """Unlike a subscriber's URL, the upstream's is the operator's own."""
    assert (await http.put("/source/s", json=SOURCE | {"baseUrl": url})).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"routes": []}, {"routes": ["none"]}, {"pollIntervalSeconds": 0.05}, {"batchSize": 0}, {"batchSize": 10_001},
        {"igrp": 0}, {"version": "v3"}, {"startRowId": -1}, {"name": ""}, {"cursor": 5},
    ],
)  # fmt: skip
async def test_values_out_of_bounds_are_refused(http: httpx.AsyncClient, change: dict[str, Any]) -> None:
    """The fault names the field."""
    answer = await http.put("/source/s", json=SOURCE | change)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", *change]


@pytest.mark.parametrize(
    ("auth", "says"),
    [
        ({"key": "canary\n"}, "printable ASCII without spaces at its ends"),
        ({"key": "can\r\nary"}, "printable ASCII without spaces at its ends"),
        ({"key": "canary "}, "printable ASCII without spaces at its ends"),
        ({"key": "canaryé"}, "printable ASCII without spaces at its ends"),
        ({"username": "canary\0"}, "must not contain control characters"),
        ({"password": "canary\n"}, "must not contain control characters"),
    ],
)
async def test_credentials_are_refused_that_no_request_can_have(
    http: httpx.AsyncClient, auth: dict[str, str], says: str
) -> None:
    """With the field, and without the value."""
    whole = {"type": "apiKey"} if "key" in auth else {"type": "basic", "username": "u", "password": "p"}
    answer = await http.put("/source/s", json=SOURCE | {"auth": whole | auth})
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert fault["loc"] == ["body", "auth", *auth]
    assert says in fault["msg"]
    assert "canary" not in answer.text


async def test_credentials_can_have_what_people_type(http: httpx.AsyncClient) -> None:
    """Spaces inside of a key, and any letters in a password."""
    for auth in ({"type": "apiKey", "key": "a b"}, {"type": "basic", "username": "Zoë", "password": " pässword: "}):
        assert (await http.put("/source/s", json=SOURCE | {"auth": auth})).is_success


async def test_lag_is_the_age_of_the_last_page_that_was_not_full(
    http: httpx.AsyncClient, stores: Stores, clock: Any
) -> None:
    """Null before there was one; then it grows with the time. A busy route need not have had an empty one for hours."""
    await http.put("/source/s", json=SOURCE)
    assert (await http.get("/source/s/route/itemisedCalls")).json()["lagSeconds"] is None
    token = await stores.routes.take(S)
    assert token is not None
    changes = {"caught_up_at_ms": clock.at_ms - 2500, "last_error": "timeout", "state": "failing"}
    await stores.routes.save(S, "itemisedCalls", changes, token=token)
    route = (await http.get("/source/s/route/itemisedCalls")).json()
    assert (route["lagSeconds"], route["lastError"], route["state"]) == (2.5, "timeout", "failing")
    assert (await http.get("/source/s")).json()["routeStates"]["itemisedCalls"] == route
    assert (await http.get("/source/s/route/all")).status_code == 404
    for short_s, lag_s in ((1.5, 1.5), (9, 2.5)):
        await stores.routes.save(S, "itemisedCalls", {"short_at_ms": clock.at_ms - round(short_s * 1000)}, token=token)
        assert (await http.get("/source/s/route/itemisedCalls")).json()["lagSeconds"] == lag_s


async def test_a_route_shows_how_long_its_deliveries_took(http: httpx.AsyncClient, stores: Stores, clock: Any) -> None:
    """Of the last minutes, whichever worker sent them."""
    await http.put("/source/s", json=SOURCE)
    assert (await http.get("/source/s/route/itemisedCalls")).json()["lagFromSight"] is None
    index = ROUTES.index("itemisedCalls")
    for session, took_ms in (("one", [5] * 60 + [1000] * 39), ("two", [7_000])):
        lags = Lags()
        for each in took_ms:
            lags.sight.add(each)
        await stores.lags.write(session, clock.at_ms // 60_000, {S: {index: lags}})
    route = (await http.get("/source/s/route/itemisedCalls")).json()
    assert route["lagFromSight"] == {"deliveries": 100, "p50Seconds": 0.005, "p99Seconds": 1.023, "maxSeconds": 7.167}
    assert route["lagFromRow"] is None
    assert (await http.get("/source/s")).json()["routeStates"]["itemisedCalls"] == route
    listed = (await http.get("/source")).json()["data"][0]
    assert listed["routeStates"]["itemisedCalls"] == route


async def test_a_source_is_paused_and_resumed(http: httpx.AsyncClient, stores: Stores) -> None:
    """It stays paused over a PUT, and its next poll is due as soon as it goes on."""
    await http.put("/source/s", json=SOURCE)
    assert (await http.post("/source/s/pause")).json()["paused"] is True
    assert (await http.put("/source/s", json=SOURCE)).json()["paused"] is True
    await stores.routes.poll_at(S, 2**50)
    assert (await http.post("/source/s/resume")).json()["paused"] is False
    assert (await stores.routes.take_due(now_ms=0)).sources == [S]


async def test_lines_that_were_set_aside_are_shown(http: httpx.AsyncClient, stores: Stores) -> None:
    """The newest first, with how many there ever were."""
    await http.put("/source/s", json=SOURCE)
    token = await stores.routes.take(S)
    assert token is not None
    for n in range(3):
        line = {"route": "all", "rowId": n, "reason": "bad", "line": "{", "seenAtMs": n}
        await stores.routes.set_aside(S, {str(n): line}, token=token)
    answer = (await http.get("/source/s/quarantine", params={"limit": 2})).json()
    assert ([line["rowId"] for line in answer["data"]], answer["total"]) == ([2, 1], 3)


async def test_a_deleted_source_is_gone(http: httpx.AsyncClient, stores: Stores) -> None:
    """With its cursors; the same uid begins anew."""
    await http.put("/source/s", json=SOURCE)
    token = await stores.routes.take(S)
    assert token is not None
    await stores.routes.start(S, "itemisedCalls", 99, token=token, now_ms=0)
    assert (await http.delete("/source/s")).status_code == 204
    assert (await http.get("/source/s")).status_code == 404
    assert (await http.delete("/source/s")).status_code == 404
    assert not await stores.redis.exists(keys.route(S, "itemisedCalls"))
    assert (await http.put("/source/s", json=SOURCE)).status_code == 201


async def test_sources_are_listed_by_uid(http: httpx.AsyncClient) -> None:
    """With pages, like everything else."""
    for uid in ("b", "a", "c"):
        await http.put(f"/source/{uid}", json=SOURCE)
    first = (await http.get("/source", params={"limit": 2})).json()
    rest = (await http.get("/source", params={"limit": 2, "iterator": first["iterator"]})).json()
    assert [s["uid"] for s in first["data"] + rest["data"]] == ["a", "b", "c"]
    assert (first["done"], rest["done"]) == (False, True)


async def test_a_cursor_is_moved_by_hand(http: httpx.AsyncClient, stores: Stores) -> None:
    """Backwards and forwards, also of a route that did not begin; the next poll starts from it at once."""
    await http.put("/source/s", json=SOURCE)
    token = await stores.routes.take(S)
    assert token is not None
    route = "callsGoalsTransactions"
    await stores.routes.start(S, route, 2**63 - 1, token=token, now_ms=0)
    held = {"held_from": 2**63 - 1, "held_first": 1, "next_poll_at_ms": 2**40}
    await stores.routes.save(S, route, held, token=token)
    await stores.routes.poll_at(S, 2**45)
    assert (await http.get(f"/source/s/route/{route}")).json()["heldRows"] == 1
    for row_id in (141_248_745, 0, 2**63 - 1):
        moved = await http.put(f"/source/s/route/{route}/cursor", json={"rowId": row_id})
        assert (moved.status_code, moved.json()["cursor"], moved.json()["heldRows"]) == (200, row_id, 0)
    (state,) = await stores.routes.states(S, [route])
    assert (state.next_poll_at_ms, state.held_from) == (0, None)
    assert (await stores.routes.take_due(now_ms=1)).sources == [S]
    assert await stores.redis.zrange(keys.trail(S, route), 0, -1) == [str(2**63 - 1).encode()]
    assert (await http.put("/source/s/route/itemisedCalls/cursor", json={"rowId": 7})).json()["cursor"] == 7


@pytest.mark.parametrize("body", [{}, {"rowId": -1}, {"rowId": 2**63}, {"rowId": "7"}, {"rowId": 7.5}, {"rowId": None}])
async def test_a_cursor_is_a_whole_rowid(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """Anything else is refused and moves nothing."""
    await http.put("/source/s", json=SOURCE)
    answer = await http.put("/source/s/route/itemisedCalls/cursor", json=body)
    if body != {"rowId": "7"}:
        assert answer.status_code == 422
        assert (await http.get("/source/s/route/itemisedCalls")).json()["cursor"] is None


async def test_a_cursor_of_what_is_not_there_is_not_moved(http: httpx.AsyncClient, stores: Stores) -> None:
    """404 for a source or a route that there is not, or that is being deleted."""
    assert (await http.put("/source/s/route/all/cursor", json={"rowId": 7})).status_code == 404
    await http.put("/source/s", json=SOURCE)
    assert (await http.put("/source/s/route/all/cursor", json={"rowId": 7})).status_code == 404
    await stores.redis.set(keys.fence(S), "-7")
    assert (await http.put("/source/s/route/itemisedCalls/cursor", json={"rowId": 7})).status_code == 404
    assert not await stores.redis.exists(keys.route(S, "itemisedCalls"))


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254", "http://192.168.1.1", "https://[::1]", "https://2130706433", "https://172.16.0.1:8080",
        "https://metadata.google.internal", "https://[64:ff9b::a9fe:a9fe]", "https://[fd00:ec2::254]",
    ],
)  # fmt: skip
async def test_a_base_url_that_leads_inside_is_refused(http: httpx.AsyncClient, stores: Stores, url: str) -> None:
    """With one text for all, and without a look-up; what the operator allows is taken, by http too."""
    answer = await http.put("/source/s", json=SOURCE | {"baseUrl": url})
    assert answer.status_code == 422
    assert [(fault["loc"], fault["msg"]) for fault in answer.json()["detail"]] == [
        (["body", "baseUrl"], f"`baseUrl`: {UNREACHABLE}")
    ]
    assert (await http.put("/source/s", json=SOURCE | {"baseUrl": "http://10.1.2.3:8080"})).status_code == 201

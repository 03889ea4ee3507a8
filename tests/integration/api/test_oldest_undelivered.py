"""The oldest undelivered messages of all sources, through the API."""

from random import Random
from typing import Any

import pytest
from msgspec import structs

from relay.api import oldest as searching
from relay.domain.model import ApiKeyAuth, EndpointId, Source, SourceUid
from relay.store import fronts, keys, oldest
from tests.integration.api.losing import CODE, Losses
from tests.integration.api.storing import NOW, A, B

PATH = "/stats/oldest-undelivered"


async def found(losses: Losses, *, headers: dict[str, str] | None = None, **query: Any) -> tuple[list[str], bool]:
    """The rows of the answer, and whether it is complete."""
    answer = (await losses.http.get(PATH, params=query, headers=headers)).json()
    return [each["rowId"] for each in answer["data"]], answer["complete"]


async def pause(losses: Losses, *uids: str) -> None:
    """Hold back what goes to some endpoints."""
    for uid in uids:
        await losses.http.patch(f"/app/{'two' if uid == 'other' else 'one'}/endpoint/{uid}", json={"paused": True})


async def own_key(losses: Losses, app: str) -> dict[str, str]:
    """The headers of a key of one application."""
    made = (await losses.http.post("/key", json={"name": "K", "scopes": ["read"], "appId": app})).json()
    return {"authorization": f"Bearer {made['token']}"}


async def test_the_oldest_of_many_sources_comes_first(losses: Losses) -> None:
    """Also if it is in the last of them, behind as many newer ones in all others."""
    base = Source(
        uid=A, name="", base_url="https://u.test", version="v2", igrp=1, auth=ApiKeyAuth("k"), routes=("all",)
    )
    uids = [SourceUid(f"s{n:02}") for n in range(12)]
    for n, uid in enumerate(uids):
        await losses.stores.sources.put(uid, lambda _, uid=uid: structs.replace(base, uid=uid))  # type: ignore[misc]
        for row in range(3):
            await losses.give_up(uid, n * 10 + row, "crm", at_ms=NOW - n * 1000 + row)
    assert await found(losses, limit=4) == (["110", "111", "112", "100"], True)
    rows, complete = await found(losses, limit=50)
    assert rows == [str(n * 10 + row) for n in reversed(range(12)) for row in range(3)]
    assert complete


async def test_all_kinds_are_merged_by_their_age(losses: Losses) -> None:
    """Dead, dropped and waiting ones, and those behind a blocked key; with what the list of all has of each."""
    crm, erp = EndpointId(losses.ids["crm"]), losses.ids["erp"]
    await losses.give_up(A, 5, "erp", at_ms=NOW + 5)
    await losses.drop(B, 2, "crm", at_ms=NOW + 2)
    await losses.give_up(B, 6, "other", at_ms=NOW + 6)
    await losses.drop(A, 7, "other", at_ms=NOW + 7)
    await losses.store(B, 3, to=[crm], at_ms=NOW + 3)
    reference = await losses.stores.redis.lpop(keys.lane(B, crm))  # type: ignore[misc]
    await losses.stores.redis.hset(keys.blocked(B, crm), "1.k", 1)  # type: ignore[misc]
    await losses.stores.redis.rpush(keys.waiting(B, crm, "1.k"), reference)  # type: ignore[misc]
    for row in (1, 4, 8):
        await losses.store(A, row, to=[crm, erp], at_ms=NOW + row)
    assert await found(losses) == (["2", "5", "6", "7"], True)
    await pause(losses, "crm")
    answer = (await losses.http.get(PATH)).json()
    assert [each["rowId"] for each in answer["data"]] == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert [each["state"] for each in answer["data"][:5]] == ["waiting", "dead", "waiting", "waiting", "dead"]
    listed = await losses.listed()
    assert sorted(listed, key=lambda each: str(each["since"])) == answer["data"]
    assert [each["since"] for each in answer["data"]] == sorted(each["since"] for each in answer["data"])
    assert (await found(losses, limit=3))[0] == ["1", "2", "3"]


async def test_an_application_has_its_own(losses: Losses) -> None:
    """By the filter `app`, and for its key whatever it asks for, without messages that its filter hides."""
    for row, uid in ((1, "other"), (2, "crm"), (3, "other"), (4, "erp")):
        await losses.give_up(A, row, uid, at_ms=NOW + row)
    await losses.drop(A, 5, "other", at_ms=NOW + 5)
    await losses.drop(A, 6, "crm", at_ms=NOW + 6)
    for row, name in ((7, "Board"), (8, "Sales")):
        await losses.store(A, row, dgrpName=name, to=[losses.ids["crm"], losses.ids["other"]], at_ms=NOW + row)
    await pause(losses, "crm", "other")
    assert await found(losses, app="one") == (["2", "4", "6", "7", "8"], True)
    headers = await own_key(losses, "one")
    assert await found(losses, headers=headers) == (["2", "4", "6", "7", "8"], True)
    await losses.http.patch("/app/one", json={"filter": {"dgrpName": "Sales"}})
    assert await found(losses, headers=headers, limit=1) == (["8"], True)
    assert (await found(losses, app="one", limit=2))[0] == ["2", "4"]
    assert (await losses.http.get(PATH, params={"app": "two"}, headers=headers)).status_code == 404
    assert (await losses.http.get(PATH, params={"app": "none"})).status_code == 404


async def test_posts_are_listed(losses: Losses) -> None:
    """What an application posted has no source."""
    await losses.http.post("/event-type", json={"name": "invoice.paid", "description": ""})
    await pause(losses, "crm")
    body = {"eventType": "invoice.paid", "payload": {}, "eventId": "i1"}
    made = await losses.http.post("/app/one/msg", json=body)
    assert made.status_code == 202, made.text
    (listed,) = (await losses.http.get(PATH)).json()["data"]
    assert (listed["source"], listed["msgId"], listed["state"]) == (None, made.json()["id"], "waiting")


@pytest.mark.parametrize("limit", [0, 51, "x"])
async def test_the_limit_is_checked(losses: Losses, limit: object) -> None:
    """It goes from 1 to 50."""
    assert (await losses.http.get(PATH, params={"limit": str(limit)})).status_code == 422


async def test_what_is_gone_or_damaged_is_passed_over(losses: Losses) -> None:
    """However much of it is older: entries of deleted endpoints, and those that nobody can read."""
    redis = losses.stores.redis
    message = await losses.give_up(A, 1, "crm", at_ms=NOW)
    gone = {f"ep_gone a{n}:{CODE}:aaaaa:3 poison": NOW - 10_000 + n % 7 for n in range(700)}
    await redis.zadd(keys.dead(A), {**gone, b"\xff": NOW - 1, "": NOW - 1})
    crm = EndpointId(losses.ids["crm"])
    await redis.zadd(keys.dropped(A, EndpointId("ep_gone")), {f"a1:{CODE}:aaaaa poison": NOW - 1})
    await redis.zadd(keys.dropped(A, crm), {b"\xff": NOW - 1})
    await redis.hset(keys.dropped_counts(A), mapping={"ep_gone": 1, crm: 1})  # type: ignore[misc]
    kept = await losses.store(A, 2, to=[crm], at_ms=NOW + 1)
    await redis.lpush(keys.lane(A, crm), b"\xff", "z1:2", f"a9999:{CODE}:aaaaa")  # type: ignore[misc]
    await pause(losses, "crm")
    answer = (await losses.http.get(PATH, params={"limit": 2})).json()
    assert [each["msgId"] for each in answer["data"]] == [message, kept]
    assert answer["complete"]


async def test_as_many_of_one_time_as_there_are(losses: Losses) -> None:
    """A list is read on also where its entries have the same time."""
    for row in range(9):
        await losses.give_up(A, row, "other" if row < 6 else "crm", at_ms=NOW)
    rows, complete = await found(losses, app="one", limit=2)
    assert (len(rows), complete) == (2, True)
    assert sorted((await found(losses, app="one"))[0]) == ["6", "7", "8"]
    assert sorted((await found(losses))[0]) == [str(row) for row in range(9)]


@pytest.mark.parametrize(
    ("module", "bound", "value"), [(oldest, "NAMES_MOST", 1), (oldest, "LISTS_MOST", 1), (fronts, "KEPT", 2)]
)
async def test_an_answer_says_that_a_bound_cut_it(
    losses: Losses, monkeypatch: pytest.MonkeyPatch, module: Any, bound: str, value: int
) -> None:
    """What was not looked at can be older, so the answer is not complete. Without the bound it is."""
    for row in range(20):
        await losses.give_up(A, row, "other", at_ms=NOW + row)
    await losses.drop(A, 30, "crm", at_ms=NOW)
    await losses.drop(A, 31, "erp", at_ms=NOW)
    for row in range(40, 45):
        await losses.store(A, row, to=[losses.ids["crm"], losses.ids["erp"]])
    await pause(losses, "crm", "erp")
    query = {"app": "one", "limit": 50}
    rows, complete = await found(losses, **query)
    assert (len(rows), complete) == (12, True)
    monkeypatch.setattr(module, bound, value)
    rows, complete = await found(losses, **query)
    assert (len(rows) < 12, complete) == (True, False)


async def test_a_request_looks_at_a_bounded_number_of_deliveries(
    losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has what was found among them, and says that it can be too little."""
    for row in range(30):
        await losses.give_up(A, row, "crm" if row in (0, 29) else "other", at_ms=NOW + row)
    assert await found(losses, app="one") == (["0", "29"], True)
    monkeypatch.setattr(searching, "LOOKED_AT", 10)
    assert await found(losses, app="one") == (["0"], False)
    assert await found(losses, app="one", limit=1) == (["0"], True)


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_the_answer_is_the_beginning_of_all_in_order(losses: Losses, limit: int) -> None:
    """Whatever stands in which list, and with the same times."""
    random = Random(limit)
    await pause(losses, "crm", "other")
    for row in range(60):
        source, at_ms = random.choice((A, B)), NOW + row // 5
        match random.choice(("dead", "dropped", "waiting")):
            case "dead":
                await losses.give_up(source, row, random.choice(("crm", "erp", "other")), at_ms=at_ms)
            case "dropped":
                await losses.drop(source, row, random.choice(("crm", "erp", "other")), at_ms=at_ms)
            case _:
                await losses.store(source, row, to=[losses.ids["crm"], losses.ids["other"]], at_ms=at_ms)
    for query in ({}, {"app": "one"}, {"app": "two"}):
        answer = (await losses.http.get(PATH, params={"limit": limit, **query})).json()
        since = sorted(str(each["since"]) for each in await losses.listed(**query))
        assert ([each["since"] for each in answer["data"]], answer["complete"]) == (since[:limit], True)


async def test_a_deep_lane_is_read_from_its_front(losses: Losses, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is newer, unless a retry or a message that was sent again by hand can stand there."""
    monkeypatch.setattr(oldest, "DEEP", 2)
    monkeypatch.setattr(oldest, "SHALLOW", 2)
    crm = EndpointId(losses.ids["crm"])
    dead = await losses.give_up(A, 1, "crm", at_ms=NOW)
    for row in range(2, 8):
        await losses.store(A, row, to=[crm], at_ms=NOW + row)
    await pause(losses, "crm")
    assert await found(losses, limit=2) == (["1", "2"], True)
    assert await found(losses, limit=4) == (["1", "2", "3"], False)
    lane = keys.lane(A, crm)
    second = await losses.stores.redis.lindex(lane, 1)  # type: ignore[misc]
    await losses.stores.redis.lset(lane, 1, f"{second.decode()}:3")  # type: ignore[misc]
    assert await found(losses, limit=2) == (["1", "2"], False)
    await losses.stores.redis.lset(lane, 1, second)  # type: ignore[misc]
    await losses.http.post(f"/app/one/msg/{dead}/endpoint/crm/resend")
    assert await found(losses, limit=2) == (["2", "3"], False)
    monkeypatch.setattr(oldest, "DEEP", 7)
    assert await found(losses, limit=10) == (["1", "2", "3", "4", "5", "6", "7"], True)

"""A source that applications name is not deleted: they would see the next source of that uid."""

import json

import httpx

from relay.store import keys
from relay.wiring import Stores

SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}


async def test_a_source_that_applications_name_is_not_deleted(http: httpx.AsyncClient) -> None:
    """409 names the applications and says what to do; then it can be deleted."""
    for uid in ("s", "t"):
        await http.put(f"/source/{uid}", json=SOURCE)
    await http.put("/app/every", json={"name": "Every source"})
    await http.put("/app/other", json={"name": "Another source", "sources": ["t"]})
    await http.put("/app/one", json={"name": "One", "sources": ["s", "t"]})
    unnamed = (await http.post("/app", json={"name": "Two", "sources": ["s"]})).json()["id"]
    refused = await http.delete("/source/s")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert refused.json()["detail"] == (
        f"2 applications name source s in `sources`: {unnamed}, one. Remove it from their `sources`, or delete them, "
        "and then delete the source"
    )
    assert (await http.get("/source/s")).status_code == 200
    assert (await http.patch("/app/one", json={"sources": ["t"]})).status_code == 200
    refused = await http.delete("/source/s")
    assert refused.json()["detail"].startswith(f"1 application names source s in `sources`: {unnamed}.")
    assert (await http.delete(f"/app/{unnamed}")).status_code == 204
    assert (await http.delete("/source/s")).status_code == 204


async def test_applications_that_cannot_be_read_count(http: httpx.AsyncClient, stores: Stores) -> None:
    """The field is not encrypted. Of many applications, the first ten are named."""
    await http.put("/source/s", json=SOURCE)
    made = [(await http.post("/app", json={"name": str(n), "sources": ["s"]})).json()["id"] for n in range(12)]
    table = keys.config("applications")
    for app in made:
        record = json.loads(await stores.redis.hget(table, app)) | {"v": 99}  # type: ignore[misc]
        await stores.redis.hset(table, app, json.dumps(record))  # type: ignore[misc]
    detail = (await http.delete("/source/s")).json()["detail"]
    assert detail.startswith(f"12 applications name source s in `sources`: {', '.join(sorted(made)[:10])} and 2 more.")


async def test_a_source_that_does_not_exist_is_not_found(http: httpx.AsyncClient) -> None:
    """Whoever names it: an application of an older release can."""
    assert (await http.delete("/source/none")).status_code == 404

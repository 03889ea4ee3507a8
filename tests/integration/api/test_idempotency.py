"""A request with an idempotency-key makes one object, however often it is sent; one that fails uses up no key."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from relay.errors import StoreUnavailable
from relay.store import idempotency, keys
from relay.store.records import Records
from relay.wiring import Stores

URL = "https://hooks.example.com/in"
KEY = {"idempotency-key": "k"}
RIGHT: dict[str, dict[str, Any]] = {"/app": {"name": "Two"}, "/app/one/endpoint": {"url": URL}}
Sent = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def called(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client; there is an application `one` with an endpoint `crm`."""
    await http.put("/app/one", json={"name": "One"})
    await http.put("/app/one/endpoint/crm", json={"url": URL})
    return http


@pytest.mark.parametrize("path", RIGHT)
@pytest.mark.parametrize("wrong", [{"uid": "a b"}, {"colour": 1}, {"uid": "taken"}, {"filter": {"callDuraton": 1}}])
async def test_a_refused_request_uses_up_no_key(called: httpx.AsyncClient, path: str, wrong: Any) -> None:
    """The same key works for the request that is right, whatever was wrong with the first: 409 or 422."""
    await called.post(path, json=RIGHT[path] | {"uid": "taken"})
    refused = await called.post(path, json=RIGHT[path] | wrong, headers=KEY)
    assert refused.status_code in (409, 422)
    first, again = [await called.post(path, json=RIGHT[path], headers=KEY) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.status_code == 201


@pytest.mark.parametrize("path", RIGHT)
async def test_an_answer_that_was_not_kept_is_given_anew(called: httpx.AsyncClient, path: str) -> None:
    """A refusal is not replayed: when its cause is gone, the very same request succeeds."""
    taken = (await called.post(path, json=RIGHT[path] | {"uid": "taken"})).json()
    assert (await called.post(path, json=RIGHT[path] | {"uid": "taken"}, headers=KEY)).status_code == 409
    assert (await called.delete(f"{path}/{taken['id']}")).status_code == 204
    made = await called.post(path, json=RIGHT[path] | {"uid": "taken"}, headers=KEY)
    assert (made.status_code, made.json()["uid"]) == (201, "taken")


@pytest.mark.parametrize("path", RIGHT)
@pytest.mark.parametrize("written", [False, True], ids=["before it wrote", "after it wrote"])
async def test_a_request_that_failed_inside_is_sent_again(
    called: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, written: bool
) -> None:
    """After a 503, the same request makes the object or finds it. Another body is refused only if there is one."""
    put = Records.put

    async def failing(self: Any, *args: Any, **options: Any) -> Any:
        if written:
            await put(self, *args, **options)
        raise StoreUnavailable("away")

    monkeypatch.setattr(Records, "put", failing)
    assert (await called.post(path, json=RIGHT[path], headers=KEY)).status_code == 503
    monkeypatch.undo()
    other = await called.post(path, json=RIGHT[path] | {"metadata": {"a": "b"}}, headers=KEY)
    assert other.status_code == (409 if written else 201)
    same = await called.post(path, json=RIGHT[path], headers=KEY)
    assert same.status_code == (201 if written else 409)
    assert len((await called.get(path)).json()["data"]) == 2


@pytest.mark.parametrize("path", RIGHT)
async def test_a_request_at_the_same_time_is_refused(
    called: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """409 says that the first is in progress; when it has ended, its object is answered."""
    put, begun, go_on = Records.put, asyncio.Event(), asyncio.Event()

    async def slow(self: Any, *args: Any, **options: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await put(self, *args, **options)

    monkeypatch.setattr(Records, "put", slow)
    first = asyncio.create_task(called.post(path, json=RIGHT[path], headers=KEY))
    await begun.wait()
    second = await called.post(path, json=RIGHT[path], headers=KEY)
    assert (second.status_code, second.json()["code"], second.headers["retry-after"]) == (409, "in_progress", "1")
    assert "in progress" in second.json()["detail"]
    go_on.set()
    made = await first
    assert (await called.post(path, json=RIGHT[path], headers=KEY)).json() == made.json()


@pytest.mark.parametrize("path", RIGHT)
async def test_a_key_is_not_taken_for_another_body(called: httpx.AsyncClient, path: str) -> None:
    """409, with what to do; the first request's object stays what is answered to the first request."""
    made = (await called.post(path, json=RIGHT[path], headers=KEY)).json()
    other = await called.post(path, json=RIGHT[path] | {"metadata": {"a": "b"}}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert "another body" in other.json()["detail"]
    assert (await called.post(path, json=RIGHT[path], headers=KEY)).json() == made


@pytest.mark.parametrize("path", RIGHT)
async def test_what_was_deleted_is_not_made_again(called: httpx.AsyncClient, path: str) -> None:
    """A late repetition of the request that made it is refused."""
    made = (await called.post(path, json=RIGHT[path], headers=KEY)).json()
    await called.delete(f"{path}/{made['id']}")
    late = await called.post(path, json=RIGHT[path], headers=KEY)
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert made["id"] in late.json()["detail"]


async def test_a_crash_leaves_no_key_locked(called: httpx.AsyncClient, stores: Stores) -> None:
    """The lock of a process that died expires; a key lives for a day."""
    await called.post("/app", json=RIGHT["/app"], headers=KEY)
    found = [key async for key in stores.redis.scan_iter(f"{keys.config('idempotency')}*")]
    assert len(found) == 1
    assert 0 < await stores.redis.pttl(found[0]) <= idempotency.KEPT_MS
    await stores.redis.set(found[0].replace(b"idempotency:", b"idempotency_lock:"), "other", px=50)
    assert (await called.post("/app", json=RIGHT["/app"], headers=KEY)).status_code == 409
    await asyncio.sleep(0.06)
    assert (await called.post("/app", json=RIGHT["/app"], headers=KEY)).status_code == 201

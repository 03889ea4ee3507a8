"""The tail over HTTP: what is streamed to whom, and what ends a stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from relay.api import tail
from relay.domain.event_types import CALL, GOAL, TRIGGER
from relay.domain.model import ApplicationId
from relay.domain.principals import ADMIN
from relay.domain.tail import Batch, Entry, Interest
from relay.errors import TooMany
from relay.pipeline import listening
from relay.pipeline.listening import EACH_MOST
from relay.store.tail import Tail
from relay.wiring import Stores
from tests.integration.api.conftest import KEY, TestClock
from tests.integration.api.documented import Documented
from tests.patience import PATIENCE_S

Event = dict[str, Any]
PLAIN = Entry(
    at_ms=1_790_000_000_000, source="uk", app="app_1", endpoint="ep_1", endpoint_uid="crm", message="msg_1", row_id="7",
    event_type="call.created", classes=CALL | TRIGGER, attempt_id="atmpt_1", ending="delivered", status=204, error="",
    duration_ms=12, number=1, by_hand=0, next_at_ms=0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything comes soon."""
    for name in ("HEARTBEAT_S", "LOOK_S", "CHECK_S"):
        monkeypatch.setattr(tail, name, 0.05)
    monkeypatch.setattr(listening, "RETRY_S", 0.05)


class Following:
    """A stream that is read."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self, *kinds: str) -> Event:
        """The next event of these kinds; others are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line.startswith("data: "):
                    event: Event = json.loads(line.removeprefix("data: "))
                    if event["type"] in kinds:
                        return event
        raise AssertionError("the stream ended")


@asynccontextmanager
async def following(base_url: str, token: str = KEY, **query: Any) -> AsyncIterator[Following]:
    """Follow the tail."""
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=f"{base_url}/api/v1", headers=headers, timeout=PATIENCE_S) as client,
        client.stream("GET", "/tail", params=query) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        found = Following(answer)
        assert (await found.next("start"))["at"]
        yield found


async def publish(stores: Stores, *entries: Entry, lost: int = 0) -> None:
    """As a worker does."""
    await Tail(stores.redis).publish(Batch(list(entries), lost=lost))


def changed(**fields: Any) -> Entry:
    """Another entry."""
    return msgspec.structs.replace(PLAIN, **fields)


async def test_an_attempt_as_it_is_shown(base_url: str, stores: Stores) -> None:
    """Every field, under its name of the attempts' API; a post has no source, rowId or classes."""
    async with following(base_url) as followed:
        assert followed.answer.headers["content-type"].startswith("text/event-stream")
        assert followed.answer.headers["cache-control"] == "no-store"
        await publish(stores, PLAIN, changed(source="posts@app_1", row_id="", classes=0, endpoint_uid=""))
        first, second = await followed.next("attempt"), await followed.next("attempt")
    assert first == {
        "type": "attempt", "at": "2026-09-21T14:13:20.000Z", "source": "uk", "appId": "app_1", "endpointId": "ep_1",
        "endpointUid": "crm", "msgId": "msg_1", "rowId": "7", "eventType": "call.created",
        "classes": ["call", "trigger"], "attemptId": "atmpt_1", "outcome": "delivered", "status": 204, "error": "",
        "durationMs": 12, "number": 1, "triggerType": 0, "nextAttempt": None,
    }  # fmt: skip
    assert (second["source"], second["rowId"], second["classes"], second["endpointUid"]) == (None, None, [], None)


@pytest.mark.parametrize(
    ("query", "other"),
    [
        ({"source": "uk"}, {"source": "us"}),
        ({"endpoint": "ep_1"}, {"endpoint": "ep_2"}),
        ({"event_types": "goal.created,call.created"}, {"event_type": "call.updated"}),
        ({"classes": ["call", "goal"]}, {"classes": TRIGGER}),
        ({"classes": "trigger,call"}, {"classes": GOAL}),
        ({"outcomes": "delivered"}, {"ending": "retry"}),
    ],
    ids=["source", "endpoint", "event_types", "classes", "classes by comma", "outcomes"],
)
async def test_filters(base_url: str, stores: Stores, query: dict[str, Any], other: dict[str, Any]) -> None:
    """What a filter leaves out is not shown."""
    async with following(base_url, **query) as followed:
        await publish(stores, changed(**other), PLAIN)
        assert (await followed.next("attempt"))["msgId"] == "msg_1"
        await publish(stores, changed(**other), changed(message="msg_2"))
        assert (await followed.next("attempt"))["msgId"] == "msg_2"


async def test_words_that_mean_nothing_are_refused(http: httpx.AsyncClient) -> None:
    """A filter with a typing error would show nothing for ever."""
    for query in ({"classes": "calls"}, {"outcomes": "ok"}):
        answer = await http.get("/tail", params=query)
        assert answer.status_code == 422
        assert "is none of" in answer.json()["detail"][0]["msg"]
    assert (await http.get("/tail", params={"app": "none"})).status_code == 404


async def test_a_key_of_one_application_sees_its_own(base_url: str, http: httpx.AsyncClient, stores: Stores) -> None:
    """Whatever it asks for: nothing of another application is streamed to it."""
    one = (await http.put("/app/one", json={"name": "One"})).json()["id"]
    await http.put("/app/two", json={"name": "Two"})
    key = (await http.post("/key", json={"name": "k", "scopes": ["attempt:read"], "appId": "one"})).json()
    async with following(base_url, key["token"]) as followed, following(base_url, app="one") as of_app:
        await publish(stores, PLAIN, changed(app=one, message="msg_own"))
        assert (await followed.next("attempt"))["msgId"] == "msg_own"
        assert (await of_app.next("attempt"))["msgId"] == "msg_own"
    headers = {"authorization": f"Bearer {key['token']}"}
    assert (await http.get("/tail", params={"app": "two"}, headers=headers)).status_code == 404


async def test_lost_attempts_are_told(base_url: str, stores: Stores) -> None:
    """What a worker could not publish is counted for its listeners."""
    async with following(base_url) as followed:
        await publish(stores, PLAIN, lost=3)
        assert await followed.next("lost", "attempt") == {"type": "lost", "attempts": 3}
        assert (await followed.next("lost", "attempt"))["type"] == "attempt"
        await stores.redis.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB")
        assert await followed.next("lost", "attempt") == {"type": "lost", "attempts": None}


async def test_heartbeats_and_the_end_of_its_time(base_url: str) -> None:
    """A quiet tail shows that it lives, and ends when its seconds are over."""
    async with following(base_url, seconds=1) as followed:
        assert (await followed.next("heartbeat"))["at"]
        assert await followed.next("end") == {"type": "end", "reason": "time"}
        with pytest.raises(AssertionError):
            await followed.next("start")


@pytest.mark.parametrize("by", ["deleted", "expired", "narrowed", "application"])
async def test_a_key_that_ends_ends_its_tail(base_url: str, http: httpx.AsyncClient, clock: TestClock, by: str) -> None:
    """The stream is no way around a revocation, an expiry, or scopes that were taken away."""
    await http.put("/app/one", json={"name": "One"})
    expires = "2026-09-21T15:00:00Z"
    body = {"name": "k", "scopes": ["attempt:read"], "appId": "one", "expiresAt": expires}
    key = (await http.post("/key", json=body)).json()
    async with following(base_url, key["token"]) as followed:
        if by == "deleted":
            await http.delete(f"/key/{key['id']}")
        elif by == "expired":
            clock.at_ms += 3_600_000
        elif by == "narrowed":
            await http.patch(f"/key/{key['id']}", json={"scopes": ["message:read"]})
        else:
            await http.delete("/app/one")
        assert await followed.next("end") == {"type": "end", "reason": "key"}


async def test_a_process_that_leaves_ends_its_tails(base_url: str, application: Documented) -> None:
    """At once, so that no tail holds up the end, and clients connect to another process."""
    async with following(base_url) as followed:
        application.state.leaves = lambda: True
        try:
            assert await followed.next("end") == {"type": "end", "reason": "shutdown"}
        finally:
            application.state.leaves = bool


async def test_tails_are_bounded(base_url: str, http: httpx.AsyncClient, application: Documented) -> None:
    """A key has so many at once; what it closes makes room."""
    at_work = application.state.listening
    async with asyncio.timeout(PATIENCE_S):
        async with asyncio.TaskGroup() as group:
            held = asyncio.Event()
            tasks = [group.create_task(_hold(base_url, held)) for _ in range(EACH_MOST)]
            while len(at_work._listeners) < EACH_MOST:
                await asyncio.sleep(0.01)
            headers = {"authorization": f"Bearer {KEY}"}
            async with httpx.AsyncClient(base_url=f"{base_url}/api/v1", headers=headers) as client:
                answer = await client.get("/tail", params={"seconds": 1}, timeout=PATIENCE_S)
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert int(answer.headers["retry-after"]) > 0
            held.set()
            await asyncio.gather(*tasks)
        while at_work._listeners or at_work._task is not None:
            await asyncio.sleep(0.01)


async def _hold(base_url: str, held: asyncio.Event) -> None:
    async with following(base_url):
        await held.wait()


async def test_tails_of_one_application_leave_room_for_others(http: httpx.AsyncClient, application: Documented) -> None:
    """However many keys and tokens of the portal it has: each page view can make another token."""
    at_work = application.state.listening
    one, two = (replace(ADMIN, id=f"ptl_{uid}", application=ApplicationId(f"app_{uid}")) for uid in ("one", "two"))
    held = [
        await at_work.listen(replace(one, id=f"ptl_{number % 3}"), Interest())
        for number in range(listening.APPLICATION_MOST)
    ]
    with pytest.raises(TooMany, match="your application has 20 tails already"):
        await at_work.listen(one, Interest())
    held.append(await at_work.listen(two, Interest()))
    for listener in held:
        at_work.leave(listener)


async def test_tails_of_applications_leave_room_for_operators(http: httpx.AsyncClient, application: Documented) -> None:
    """All subscribers together cannot take every tail of a process."""
    at_work = application.state.listening
    held = [
        await at_work.listen(replace(ADMIN, id=f"ptl_{number}", application=ApplicationId(f"app_{number}")), Interest())
        for number in range(listening.BOUND_MOST)
    ]
    with pytest.raises(TooMany, match="the applications of this process have 40 tails already"):
        await at_work.listen(replace(ADMIN, id="ptl_x", application=ApplicationId("app_x")), Interest())
    held.append(await at_work.listen(ADMIN, Interest()))
    for listener in held:
        at_work.leave(listener)

"""Messages and attempts through the API, as the published Svix client sees them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from svix.api import (
    ApplicationIn,
    EndpointGetStatsOptions,
    EndpointIn,
    MessageAttemptListAttemptedMessagesOptions,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageListOptions,
    SvixAsync,
)
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError
from svix.models import MessageStatus, StatusCodeClass

from relay.api import endpoint_stats
from relay.domain.event_types import CALL, GOAL, codes_of
from relay.domain.model import Attempt, EndpointId, MessageId, SourceUid
from relay.domain.references import tag_of
from relay.store import keys
from relay.store.attempts import pack_attempt
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, B, Store

URL = "https://hooks.example.com/in"


async def attempt(
    stores: Stores,
    source: SourceUid,
    message: MessageId,
    endpoint: str,
    *,
    at_ms: int,
    verdict: str,
    status: int = 0,
    error: str = "",
    body: bytes = b"said",
    headers: tuple[tuple[str, str], ...] = (),
) -> None:
    """Note an attempt as a worker does."""
    found = await stores.events.find(source, message)
    assert found is not None
    number, event = found
    record = Attempt(
        endpoint_id=EndpointId(endpoint),
        seq=number,
        number=1,
        type_code=event.types[0],
        started_at_ms=at_ms,
        duration_ms=12,
        status=status,
        verdict=verdict,
        error=error,
        next_at_ms=at_ms + 5000 if verdict == "retry" else 0,
        headers=headers,
        body=body,
        tag=tag_of(message),
        connect_ms=3,
        tls_ms=4,
        head_ms=5,
    )
    bucket = keys.attempts(source, number // keys.ATTEMPTS_PER_BUCKET)
    await stores.redis.hset(bucket, f"{number}:{endpoint}:{at_ms}", pack_attempt(record))  # type: ignore[misc]
    await stores.redis.zadd(keys.endpoint_attempts(source, EndpointId(endpoint)), {f"{number}:{at_ms}": at_ms})


async def _pages(read: Callable[[str | None], Awaitable[Any]]) -> list[Any]:
    things, iterator = [], None
    while True:
        page = await read(iterator)
        things += page.data
        if page.done:
            return things
        iterator = page.iterator


async def test_messages_of_all_sources_come_newest_first(svix: SvixAsync, store: Store) -> None:
    """Page by page, each once, whatever source it is of."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    stored = [await store(uid, row, at_ms=NOW + row) for row, uid in enumerate((A, B, B, A, B, A, A))]
    listed = await _pages(lambda i: svix.message.list("one", MessageListOptions(limit=2, iterator=i)))
    assert [message.id for message in listed] == stored[::-1]
    assert listed[0].timestamp == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=NOW + 6)
    with pytest.raises(HTTPValidationError):
        await svix.message.list("one", MessageListOptions(iterator="ep_1"))


async def test_a_message_is_what_endpoints_get(svix: SvixAsync, http: Any, store: Store) -> None:
    """The payload is the callback's body to the byte, numbers with their digits; without content it is empty."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    message = await store(A, 5, classes=CALL | GOAL, note="é")
    text = (await http.get(f"/app/one/msg/{message}")).text
    assert '"payload":{"type":"goal.created","timestamp":"2026-09-21T00:00:00.000Z","data":{"source":"a"' in text
    out = json.loads(text)
    assert (out["id"], out["eventType"]) == (message, "goal.created")
    assert out["payload"]["data"]["classes"] == ["goal", "call"]
    assert (await svix.message.get("one", message)).payload == {}
    assert (await svix.message.list("one", MessageListOptions(with_content=True))).data[0].payload == out["payload"]


async def test_messages_are_chosen_by_type_and_time(svix: SvixAsync, store: Store) -> None:
    """Any of a message's types counts; `after` and `before` leave their own moment out."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    call = await store(A, 1, at_ms=NOW)
    goal = await store(A, 2, classes=CALL | GOAL, at_ms=NOW + 1000)
    late = await store(B, 3, at_ms=NOW + 2000)

    async def listed(**options: Any) -> list[str]:
        return [m.id for m in (await svix.message.list("one", MessageListOptions(**options))).data]

    assert await listed(event_types=["goal.created", "visit.created"]) == [goal]
    assert await listed(event_types=["call.created"]) == [late, goal, call]
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=NOW)
    assert await listed(after=start) == [late, goal]
    assert await listed(before=start + timedelta(seconds=2)) == [goal, call]


async def test_a_tenant_sees_its_sources_and_what_passes_its_filter(svix: SvixAsync, http: Any, store: Store) -> None:
    """What it may not see is not listed, not found, has no attempts, and can't be sent again."""
    mine, filtered, other = await store(A, 1, act="call"), await store(A, 2, act="chat"), await store(B, 3, act="call")
    await http.post("/app", json={"name": "T", "uid": "t", "sources": ["a"], "filter": {"act": "call"}})
    endpoint = await svix.endpoint.create("t", EndpointIn(url=URL))
    assert [m.id for m in (await svix.message.list("t")).data] == [mine]
    assert (await svix.message.get("t", mine)).id == mine
    for message in (filtered, other, "msg_none"):
        for call in (
            svix.message.get("t", message),
            svix.message_attempt.list_by_msg("t", message),
            svix.message_attempt.list_attempted_destinations("t", message),
            svix.message_attempt.resend("t", message, endpoint.id),
        ):
            with pytest.raises(HttpError) as caught:
                await call
            assert caught.value.status_code == 404


async def test_a_filter_that_is_narrowed_hides_what_was_sent_before(
    http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    await http.put("/app/one", json={"name": "One"})
    endpoint = (await http.post("/app/one/endpoint", json={"url": URL})).json()["id"]
    for row, name in ((1, "Sales"), (2, "Board")):
        message = await store(A, row, dgrpName=name)
        await attempt(stores, A, message, endpoint, at_ms=NOW + row, verdict="delivered", status=200)
    await http.patch("/app/one", json={"filter": {"dgrpName": "Sales"}})

    listed = (await http.get(f"/app/one/endpoint/{endpoint}/msg")).json()["data"]
    assert [each["payload"]["data"]["trigger"]["dgrpName"] for each in listed] == ["Sales"]
    attempts = (await http.get(f"/app/one/attempt/endpoint/{endpoint}", params={"with_msg": "true"})).json()["data"]
    assert [each["msgId"] for each in attempts] == [listed[0]["id"]]


async def test_attempts_are_listed_by_endpoint_and_by_message(
    svix: SvixAsync, http: Any, stores: Stores, store: Store
) -> None:
    """Newest first, page by page, chosen by status and time; another tenant's attempts are not among them."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    await svix.application.create(ApplicationIn(name="Two", uid="two"))
    ours = await svix.endpoint.create("one", EndpointIn(url=URL, uid="crm"))
    theirs = await svix.endpoint.create("two", EndpointIn(url=URL))
    first, second = await store(A, 1), await store(B, 2)
    await attempt(stores, A, first, ours.id, at_ms=NOW, verdict="retry", status=503)
    await attempt(stores, B, second, ours.id, at_ms=NOW + 1, verdict="delivered", status=204)
    await attempt(stores, A, first, ours.id, at_ms=NOW + 2, verdict="dead")
    await attempt(stores, A, first, theirs.id, at_ms=NOW + 3, verdict="delivered", status=200)

    api = svix.message_attempt
    everything = await _pages(
        lambda i: api.list_by_endpoint(
            "one", "crm", MessageAttemptListByEndpointOptions(limit=1, iterator=i, with_msg=True)
        )
    )
    assert [(a.msg_id, a.response_status_code, a.status) for a in everything] == [
        (first, 0, MessageStatus.FAIL),
        (second, 204, MessageStatus.SUCCESS),
        (first, 503, MessageStatus.FAIL),
    ]
    assert (everything[0].url, everything[0].response, everything[0].msg.id) == (URL, "", first)
    by_message = await _pages(
        lambda i: api.list_by_msg("one", first, MessageAttemptListByMsgOptions(limit=1, iterator=i, with_content=True))
    )
    assert [a.id for a in by_message] == [everything[0].id, everything[2].id]
    plain = (await http.get(f"/app/one/msg/{first}/attempt/{everything[0].id}")).json()
    phases = [plain[f"{phase}DurationMs"] for phase in ("response", "connect", "tls", "head")]
    assert phases == [12, 3, 4, 5]
    assert by_message[0].response == "said"
    assert await api.get("one", first, everything[2].id) == by_message[1]
    for options, expected in (
        (MessageAttemptListByEndpointOptions(status=MessageStatus.SUCCESS), [1]),
        (MessageAttemptListByEndpointOptions(status_code_class=StatusCodeClass.CODE5XX), [2]),
        (MessageAttemptListByEndpointOptions(status_code_class=StatusCodeClass.CODE_NONE), [0]),
        (MessageAttemptListByEndpointOptions(after=everything[2].timestamp), [0, 1]),
        (MessageAttemptListByEndpointOptions(event_types=["goal.created"]), []),
    ):
        found = await api.list_by_endpoint("one", "crm", options)
        assert [a.id for a in found.data] == [everything[at].id for at in expected]
    with pytest.raises(HttpError):
        await api.list_by_endpoint("two", ours.id)


async def test_attempts_that_took_long_hide_no_others(http: Any, stores: Stores, store: Store) -> None:
    """The log is written when attempts end, and they are listed, chosen and counted by the time when they began."""
    await http.post("/app", json={"name": "One", "uid": "one"})
    endpoint = (await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm"})).json()["id"]
    # Each began at its place and ended in this order: the first took longest, in both sources.
    for began in (4, 2, 5, 3, 7, 0, 6, 1):
        source = A if began % 2 else B
        message = await store(source, began)
        await attempt(stores, source, message, endpoint, at_ms=NOW + began, verdict="delivered", status=200)

    async def began(path: str, **between: int) -> list[int]:
        at = {name: f"2026-09-21T14:13:20.{ms:03d}Z" for name, ms in between.items()}
        answer = (await http.get(f"/app/one/{path}", params=at)).json()
        return [int(each["timestamp"][-4:-1]) for each in answer["data"]]

    assert await began("attempt/endpoint/crm") == [7, 6, 5, 4, 3, 2, 1, 0]
    assert await began("attempt/endpoint/crm", after=2) == [7, 6, 5, 4, 3]
    assert await began("attempt/endpoint/crm", after=2, before=6) == [5, 4, 3]
    since = (await http.get("/app/one/endpoint/crm/stats?since=2026-09-21T14:13:20.002Z")).json()
    until = (await http.get("/app/one/endpoint/crm/stats?until=2026-09-21T14:13:20.002Z")).json()
    assert [(each["success"], each["complete"]) for each in (since, until)] == [(5, True), (2, True)]


async def test_a_delivery_is_what_its_last_attempt_made_of_it(svix: SvixAsync, stores: Stores, store: Store) -> None:
    """By message each endpoint once, by endpoint each message once. As in Svix, a later retry is `Sending`."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    crm = await svix.endpoint.create("one", EndpointIn(url=URL, uid="crm"))
    erp = await svix.endpoint.create("one", EndpointIn(url=URL, uid="erp"))
    first, second = await store(A, 1), await store(A, 2)
    await attempt(stores, A, first, crm.id, at_ms=NOW, verdict="retry", status=503)
    await attempt(stores, A, second, crm.id, at_ms=NOW + 1, verdict="retry", status=500)
    await attempt(stores, A, first, crm.id, at_ms=NOW + 2, verdict="delivered", status=200)
    await attempt(stores, A, first, erp.id, at_ms=NOW + 3, verdict="dead", status=404)

    destinations = (await svix.message_attempt.list_attempted_destinations("one", first)).data
    assert {d.uid: d.status for d in destinations} == {"crm": MessageStatus.SUCCESS, "erp": MessageStatus.FAIL}
    messages = await _pages(
        lambda i: svix.message_attempt.list_attempted_messages(
            "one", "crm", MessageAttemptListAttemptedMessagesOptions(limit=1, iterator=i)
        )
    )
    assert [(m.id, m.status) for m in messages] == [(first, MessageStatus.SUCCESS), (second, MessageStatus.SENDING)]
    assert [m.status_text for m in messages] == ["success", "sending"]
    assert messages[1].next_attempt == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=NOW + 5001)
    for status in MessageStatus:
        chosen = MessageAttemptListAttemptedMessagesOptions(status=status)
        found = (await svix.message_attempt.list_attempted_messages("one", "crm", chosen)).data
        assert [m.id for m in found] == [m.id for m in messages if m.status == status]


async def test_an_endpoints_deliveries_are_counted(
    svix: SvixAsync, http: Any, stores: Stores, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its last try in the range of time; what waits or flies is counted as it is now."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    crm = await svix.endpoint.create("one", EndpointIn(url=URL, uid="crm"))
    messages = [await store(A, row) for row in range(3)] + [await store(B, 3)]
    for n, (message, verdict) in enumerate(
        [(0, "retry"), (1, "delivered"), (0, "delivered"), (2, "retry"), (3, "retry"), (3, "dead"), (2, "disabled")]
    ):
        await attempt(stores, B if message == 3 else A, messages[message], crm.id, at_ms=NOW + n, verdict=verdict)
    await store(A, 9, to=[crm.id])

    async def counted(**options: datetime) -> tuple[int, ...]:
        stats = await svix.endpoint.get_stats("one", "crm", EndpointGetStatsOptions(**options))
        return stats.success, stats.pending, stats.fail, stats.sending, stats.canceled

    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=NOW)
    assert await counted() == (2, 1, 1, 1, 0)
    assert await counted(since=start + timedelta(milliseconds=3)) == (0, 1, 1, 1, 0)
    assert await counted(until=start + timedelta(milliseconds=2)) == (1, 0, 0, 2, 0)
    assert (await http.get("/app/one/endpoint/crm/stats")).json()["complete"] is True
    monkeypatch.setattr(endpoint_stats, "LOOKED_AT", 2)
    answer = (await http.get("/app/one/endpoint/crm/stats")).json()
    assert (answer["pending"], answer["fail"], answer["complete"]) == (1, 1, False)
    await attempt(stores, A, await store(A, 4), crm.id, at_ms=NOW + 9, verdict="skipped")
    assert (await counted())[-1] == 1


async def test_a_message_is_sent_again(svix: SvixAsync, stores: Stores, store: Store) -> None:
    """It goes to the end of the endpoint's lane, as the first of its types that the endpoint subscribed to."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    endpoint = await svix.endpoint.create("one", EndpointIn(url=URL, event_types=["call.created"]))
    message = await store(A, 1, classes=CALL | GOAL)
    await svix.message_attempt.resend("one", message, endpoint.id)
    found = await stores.events.find(A, message)
    assert found is not None
    lane = await stores.redis.lrange(keys.lane(A, EndpointId(endpoint.id)), 0, -1)  # type: ignore[misc]
    assert lane == [f"a{found[0]}:{codes_of(CALL, None)[0]}:{tag_of(message)}:1:0:1".encode()]


async def test_reads_at_once_do_not_get_in_each_others_way(svix: SvixAsync, store: Store) -> None:
    """Fifty lists at the same time all give the same answer."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    stored = [await store(A, row, at_ms=NOW + row) for row in range(5)]
    pages = await asyncio.gather(*(svix.message.list("one") for _ in range(50)))
    assert all([m.id for m in page.data] == stored[::-1] for page in pages)


async def test_a_message_says_that_its_row_was_repaired(svix: SvixAsync, http: httpx.AsyncClient, store: Store) -> None:
    """With and without its content, in lists and by itself; in the payload the flag is absent otherwise."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    good, bad = await store(A, 1), await store(A, 2, repaired=True)
    for content in ("true", "false"):
        listed = (await http.get(f"/app/one/msg?with_content={content}")).json()["data"]
        assert {each["id"]: each["repaired"] for each in listed} == {good: False, bad: True}
    for message, expected in ((good, None), (bad, True)):
        shown = (await http.get(f"/app/one/msg/{message}")).json()
        assert (shown["repaired"], shown["payload"]["data"].get("repaired")) == (expected is True, expected)


async def test_an_attempt_has_the_headers_of_its_response(
    http: httpx.AsyncClient, stores: Stores, store: Store
) -> None:
    """In their order, repeated ones too, with secrets hidden; none without content."""
    await http.post("/app", json={"name": "One", "uid": "one"})
    endpoint = (await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm"})).json()["id"]
    message = await store(A, 1)
    headers = (("Via", "a"), ("Set-Cookie", "session=s3cr3t"), ("via", "b"))
    await attempt(stores, A, message, endpoint, at_ms=NOW, verdict="retry", status=503, headers=headers)
    (listed,) = (await http.get(f"/app/one/attempt/msg/{message}")).json()["data"]
    pairs = [(each["name"], each["value"]) for each in listed["responseHeaders"]]
    assert pairs == [("via", "a"), ("set-cookie", "••••"), ("via", "b")]
    assert (await http.get(f"/app/one/msg/{message}/attempt/{listed['id']}")).json() == listed
    for path in (f"attempt/msg/{message}", "attempt/endpoint/crm"):
        (bare,) = (await http.get(f"/app/one/{path}?with_content=false")).json()["data"]
        assert bare["responseHeaders"] == []

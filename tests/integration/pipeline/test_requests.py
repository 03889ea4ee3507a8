"""Endpoints that shape their requests: transformation, method and URL, verdict rules, lookups, what is captured."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from relay.domain.model import Endpoint
from relay.domain.requests.model import Capture, Lookup, RequestShape, VerdictRule
from relay.store.undelivered import Undelivered
from tests.fakes.subscribers import Answer, Got, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import UK, Rig, until

CRM = "crm.example.com"
TASK = '{"Subject": "Call " & data.rowId, "Seconds": $number(data.trigger.callDuration)}'
BY_PHONE = Lookup(
    key="data.trigger.srcPhoneNumber",
    method="POST",
    url=f"https://{CRM}/search",
    body='{"phone": data.trigger.srcPhoneNumber}',
    result="results[0].id",
)


def json_answers(choose: Callable[[Got], tuple[int, Any]]) -> Answer:
    """JSON that depends on the request."""

    def reply(got: Got) -> httpx.Response:
        code, body = choose(got)
        return httpx.Response(code, stream=httpx.ByteStream(msgspec.json.encode(body)))

    return reply


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


async def shaped(floor: Dispatching, path: str = "/hook", **fields: Any) -> Endpoint:
    own = {name: fields.pop(name) for name in ("order", "order_key") if name in fields}
    made = await floor.rig.endpoint(url=f"https://{CRM}{path}", request=RequestShape(**fields), **own)
    await floor.changed()
    return made


async def judged(floor: Dispatching, endpoint: Endpoint, count: int) -> None:
    """Wait until so many attempts have been written down."""

    async def all_there() -> bool:
        return len(await floor.attempts(endpoint)) >= count

    await until(all_there)
    await floor.settled()


async def dead(floor: Dispatching) -> list[str]:
    return [each.reason for each in await Undelivered(floor.rig.eyes).dead(UK, limit=100)]


async def test_a_transformation_makes_the_body(floor: Dispatching) -> None:
    """It is sent with the method and to the URL that the endpoint says, and signed as any other body."""
    parameters = {"guid": "$uuid5(data.key)"}
    await shaped(floor, "/Task/{key}?id={guid}", method="PATCH", transformation=TASK, url_parameters=parameters)
    async with floor.worker():
        await floor.rows(1, callDuration="84")
        await floor.all_ended()
    [got] = floor.subscribers.got
    assert (got.method, msgspec.json.decode(got.body)) == ("PATCH", {"Subject": "Call 1", "Seconds": 84})
    assert got.path.startswith("/Task/1-1?id=")
    assert len(got.path) == len("/Task/1-1?id=") + 36


async def test_null_skips_the_event(floor: Dispatching) -> None:
    """Nothing is sent, the delivery has ended, and its one attempt says so."""
    crm = await shaped(floor, transformation='data.rowId = "2" ? {"row": data.rowId} : null')
    async with floor.worker():
        await floor.rows(3)
        await floor.all_ended()
    assert [got.body for got in floor.subscribers.got] == [b'{"row":"2"}']
    assert sorted(await floor.attempts(crm)) == [(1, 0, "skipped"), (1, 0, "skipped"), (1, 204, "delivered")]
    assert await dead(floor) == []


async def test_an_expression_that_fails_on_an_event_is_no_fault_of_others(floor: Dispatching) -> None:
    """The event is given up at once with the reason, and the next one is sent."""
    crm = await shaped(floor, transformation='data.rowId = "1" ? $number("x") : {}')
    async with floor.worker():
        await floor.rows(2)
        await judged(floor, crm, 2)
    assert sorted(await floor.attempts(crm)) == [(1, 0, "dead"), (1, 204, "delivered")]
    assert await dead(floor) == ["transformation"]


@pytest.mark.parametrize(
    ("rule", "code", "body", "verdict"),
    [
        (VerdictRule(status="409", verdict="exists"), 409, {}, "delivered"),
        (VerdictRule(status="4xx", verdict="delivered", pointer="/ok", equals=True), 418, {"ok": True}, "delivered"),
        (VerdictRule(status="200", verdict="dead", pointer="/errors/0"), 200, {"errors": ["no"]}, "dead"),
        (VerdictRule(status="200", verdict="dead", text="REFUSED"), 200, {"it": "was REFUSED"}, "dead"),
        (VerdictRule(status="400", verdict="disable"), 400, {}, "disabled"),
        (VerdictRule(status="403", verdict="later", delay_s=7), 403, {}, "retry"),
        (VerdictRule(status="409", verdict="exists", pointer="/id"), 409, {"other": 1}, "retry"),
    ],
    ids=["exists", "delivered", "refused in a 200", "text", "disable", "later", "does not fit"],
)
async def test_rules_say_what_an_answer_means(
    floor: Dispatching, rule: VerdictRule, code: int, body: Any, verdict: str
) -> None:
    """The first rule that fits decides, and the relay's own rules decide if none fits."""
    crm = await shaped(floor, verdicts=(rule,))
    floor.subscribers.answers[CRM] = json_answers(lambda _: (code, body))
    async with floor.worker():
        await floor.rows(1)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
    assert await floor.attempts(crm) == [(1, code, verdict)]


async def test_a_quota_pauses_the_endpoint_and_uses_no_try(floor: Dispatching) -> None:
    """Everything of the endpoint waits for the time that a header names, and is delivered after it."""
    rule = VerdictRule(status="403", verdict="later", text="QUOTA", delay_header="x-reset", pauses=True)
    crm = await shaped(floor, verdicts=(rule,))
    refusal = httpx.ByteStream(b"QUOTA")
    floor.subscribers.answers[CRM] = lambda _: httpx.Response(403, headers={"x-reset": "3600"}, stream=refusal)
    async with floor.worker(schedule=()):
        await floor.rows(1)
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        floor.subscribers.answers[CRM] = status(201)
        await floor.rows(1)
        await floor.pass_time(3000)
        await floor.settled()
        assert len(floor.subscribers.got) == 1
        await floor.pass_time(601)
        await floor.all_ended()
    assert sorted(await floor.attempts(crm)) == [(1, 201, "delivered"), (1, 201, "delivered"), (1, 403, "retry")]


async def test_a_look_up_finds_the_contact_once(floor: Dispatching) -> None:
    """Its result is `$lookup`, and is cached by the key."""
    await shaped(floor, transformation='{"contact": $lookup, "row": data.rowId}', lookup=BY_PHONE)
    floor.subscribers.answers[CRM] = json_answers(lambda _: (200, {"results": [{"id": "501"}]}))
    async with floor.worker():
        await floor.rows(3, srcPhoneNumber="+447700900123")
        await floor.all_ended()
    asked = [got for got in floor.subscribers.got if got.path == "/search"]
    sent = [msgspec.json.decode(got.body) for got in floor.subscribers.got if got.path == "/hook"]
    assert [got.body for got in asked] == [b'{"phone":"+447700900123"}']
    assert "webhook-id" not in asked[0].headers
    assert sorted(body["row"] for body in sent) == ["1", "2", "3"]
    assert {body["contact"] for body in sent} == {"501"}


@pytest.mark.parametrize(
    ("on_miss", "verdict", "sent"), [("send", "delivered", 1), ("skip", "skipped", 0), ("fail", "dead", 0)]
)
@pytest.mark.parametrize("found", [(200, {"results": []}), (404, {}), None], ids=["empty", "404", "no key"])
async def test_without_a_match_the_endpoint_says_what_happens(
    floor: Dispatching, on_miss: Any, verdict: str, sent: int, found: tuple[int, Any] | None
) -> None:
    """No match is an empty result, 204 or 404, or that there is nothing to look up."""
    lookup = msgspec.structs.replace(BY_PHONE, on_miss=on_miss)
    if found is None:
        lookup = msgspec.structs.replace(lookup, key="null")
    crm = await shaped(floor, transformation='{"contact": $lookup}', lookup=lookup)
    floor.subscribers.answers[CRM] = json_answers(lambda got: found if got.path == "/search" and found else (200, {}))
    async with floor.worker():
        await floor.rows(1, srcPhoneNumber="0123")
        await judged(floor, crm, 1)
    bodies = [got.body for got in floor.subscribers.got if got.path == "/hook"]
    assert bodies == [b'{"contact":null}'] * sent
    assert [(number, kind) for number, _, kind in await floor.attempts(crm)] == [(1, verdict)]


async def test_a_look_up_that_fails_is_tried_again_like_a_callback(floor: Dispatching) -> None:
    """Nothing is sent, the attempt has the status of the answer, and the next try looks up again."""
    crm = await shaped(floor, lookup=BY_PHONE)
    floor.subscribers.answers[CRM] = status(503)
    async with floor.worker(schedule=(5.0,)):
        await floor.rows(1, srcPhoneNumber="0123")
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        floor.subscribers.answers[CRM] = json_answers(lambda _: (200, {"results": [{"id": "1"}]}))
        await floor.pass_time(6)
        await floor.all_ended()
    assert [got.path for got in floor.subscribers.got] == ["/search", "/search", "/hook"]
    assert await floor.attempts(crm) == [(1, 503, "retry"), (2, 200, "delivered")]


async def test_what_the_first_answer_says_leads_later_events(floor: Dispatching) -> None:
    """The first event of a row creates a record, and the events of its changes update it."""
    capture = Capture(value="id", url=f"https://{CRM}/calls/{{captured}}")
    await shaped(
        floor, "/calls", capture=capture, transformation='{"seen": $captured}', order="keyed", order_key="rowId"
    )
    floor.subscribers.answers[CRM] = json_answers(lambda _: (201, {"id": 77}))
    async with floor.worker():
        await floor.rows(1, callRating="A")
        await floor.all_ended()
        await floor.again(1, callRating="B")
        await floor.all_ended()
    assert [(got.method, got.path, got.body) for got in floor.subscribers.got] == [
        ("POST", "/calls", b'{"seen":null}'),
        ("PATCH", "/calls/77", b'{"seen":77}'),
    ]


async def test_a_placeholder_never_leads_elsewhere(floor: Dispatching) -> None:
    """Whatever a row has, it stays one segment of the path, or the event is not sent."""
    crm = await shaped(floor, "/a/{ref}/b", url_parameters={"ref": "data.trigger.ref"})
    async with floor.worker():
        for count, ref in enumerate(("../../x?y#z", "..", "@evil.example/"), start=1):
            await floor.rows(1, ref=ref)
            await judged(floor, crm, count)
    assert [got.path for got in floor.subscribers.got] == ["/a/..%2F..%2Fx%3Fy%23z/b", "/a/%40evil.example%2F/b"]
    assert {got.host for got in floor.subscribers.got} == {CRM}
    assert await dead(floor) == ["transformation"]


@pytest.mark.parametrize("verdict", ["exists", "delivered"])
async def test_what_a_lookup_is_answered_never_counts_as_delivered(floor: Dispatching, verdict: Any) -> None:
    """Rules are about callbacks: one that calls an answer a success must not end an event that was not sent."""
    crm = await shaped(floor, lookup=BY_PHONE, verdicts=(VerdictRule(status="4xx", verdict=verdict),))
    floor.subscribers.answers[CRM] = json_answers(lambda got: (409 if got.path == "/search" else 201, {}))
    async with floor.worker(schedule=(5.0,)):
        await floor.rows(1, srcPhoneNumber="0123")
        await judged(floor, crm, 1)
    assert [got.path for got in floor.subscribers.got] == ["/search"]
    assert await floor.attempts(crm) == [(1, 409, "retry")]


async def test_a_quota_of_lookups_pauses_the_endpoint(floor: Dispatching) -> None:
    """Rules that make an event wait hold for lookups as well: they ask the same server."""
    rule = VerdictRule(status="403", verdict="later", delay_s=600, pauses=True)
    crm = await shaped(floor, lookup=BY_PHONE, verdicts=(rule,))
    floor.subscribers.answers[CRM] = json_answers(lambda _: (403, {}))
    async with floor.worker(schedule=()):
        await floor.rows(1, srcPhoneNumber="0123")
        await judged(floor, crm, 1)
        floor.subscribers.answers[CRM] = json_answers(lambda _: (200, {"results": [{"id": "1"}]}))
        await floor.pass_time(601)
        await floor.all_ended()
    assert await floor.attempts(crm) == [(1, 403, "retry"), (1, 200, "delivered")]


async def test_other_rules_are_tried_at_once(floor: Dispatching) -> None:
    """An endpoint that a rule made wait goes on when its rules change, and not only when the time is over."""
    rule = VerdictRule(status="403", verdict="later", delay_s=3600, pauses=True)
    crm = await shaped(floor, verdicts=(rule,))
    floor.subscribers.answers[CRM] = status(403)
    async with floor.worker():
        await floor.rows(1)
        await judged(floor, crm, 1)
        await floor.pass_time(1)
        await floor.change(crm, request=RequestShape(verdicts=(VerdictRule(status="403", verdict="exists"),)))
        floor.wake()
        await floor.all_ended()
    assert await floor.attempts(crm) == [(1, 403, "retry"), (1, 403, "delivered")]

"""Each recipe, from a row of the sandbox to the request that the system receives, and what its answers lead to.

A story is told in steps: a new call, a change of it, a token that has expired, a record that is there already, a
refusal, and last a quota, which pauses the endpoint. All stories are played at once, by one worker.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.recipes.crms import accepting, composite, dynamics, hubspot, pipedrive, salesforce, zoho
from tests.recipes.playing import Play, Story, playing

SALESFORCE = {"domain": "acme", "clientId": "id", "clientSecret": "secret"}
EXPIRED: Any = (401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}])
Telling = Callable[[Play], Awaitable[None]]


def pause_s(attempt: dict[str, Any]) -> float:
    """How long after an attempt the next one is due."""
    times = [datetime.fromisoformat(attempt[name]) for name in ("timestamp", "nextAttempt")]
    return (times[1] - times[0]).total_seconds()


async def quota(story: Story, kind: str, seconds: float, status: int, body: Any = None, *headers: str) -> None:
    """The endpoint waits, and the attempt does not count."""
    story.crm.then(status, body, *headers)
    await story.row(callRating="quota")
    await story.sent(kind)
    attempt = await story.ended("later")
    assert seconds <= pause_s(attempt) <= seconds * 1.5 + 30
    assert attempt["number"] == 1


async def refused(story: Story, kind: str, status: int, body: Any = None) -> None:
    """The event is listed as undelivered at once."""
    story.crm.then(status, body)
    await story.row(callRating="refused")
    await story.sent(kind)
    await story.ended("dead")


async def there(story: Story, kind: str, status: int, body: Any = None) -> None:
    """The delivery has succeeded."""
    story.crm.then(status, body)
    await story.row(callRating="there")
    await story.sent(kind)
    await story.ended("delivered")


async def expired(story: Story, kind: str) -> None:
    """A new token is asked for once, and the request is sent again with it."""
    grants = len(story.crm.grants)
    story.crm.expire()
    await story.row(callRating="expired")
    first, second = await story.sent(kind, kind)
    assert first.headers["authorization"] != second.headers["authorization"]
    assert first.body == second.body
    await story.ended("delivered")
    assert len(story.crm.grants) == grants + 1


async def hubspot_call(play: Play) -> None:
    """The contact is searched by its national number; a changed call is the same call."""
    story = await play.story("hubspot-call", hubspot, token="pat-eu1-12345678")
    story.crm.contacts["7700900123"] = "501"
    row = await story.row()
    search, create = await story.sent("search", "create")
    assert search.json["filterGroups"][0]["filters"][0]["value"] == "7700900123"
    assert create.json == {
        "properties": {
            "hs_timestamp": "2026-11-20T14:05:09.000Z", "hs_call_duration": "84000", "hs_call_direction": "INBOUND",
            "hs_call_status": "COMPLETED", "hs_call_from_number": "+447700900123",
            "hs_call_to_number": "+442079460018", "hs_call_title": "Call from +447700900123 (Sales & Co)",
            "hs_call_body": "spring, boiler",
        },
        "associations": [
            {"to": {"id": "501"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]}
        ],
    }  # fmt: skip
    await story.ended("delivered")
    await story.change(row, bridgeDuration="90")
    (update,) = await story.sent("update")
    assert (update.target, update.json["properties"]["hs_call_duration"]) == (
        "/crm/objects/2026-09/calls/9001", "90000",
    )  # fmt: skip
    await story.row(srcPhoneNumber="020 7946 0999")
    _, create = await story.sent("search", "create")
    assert create.json["associations"] == []
    await story.row(srcPhoneNumber="anonymous", callStage="ring", bridgeDuration="0")
    (create,) = await story.sent("create")
    assert create.json["properties"]["hs_call_status"] == "NO_ANSWER"
    await story.ended("delivered")
    story.crm.then(401, {"category": "EXPIRED_AUTHENTICATION"})
    await story.row()
    await story.sent("create")
    await story.ended("later")
    await there(story, "create", 409, {"message": "Contact already exists. Existing ID: 7"})
    await refused(story, "create", 400, {"category": "VALIDATION_ERROR"})
    await quota(story, "create", 3600, 429, {"policyName": "DAILY"})


async def hubspot_unattached_call(play: Play) -> None:
    """One request for each event."""
    story = await play.story("hubspot-unattached-call", hubspot, token="pat-eu1-12345678")
    row = await story.row()
    (create,) = await story.sent("create")
    assert create.json["associations"] == []
    await story.ended("delivered")
    await story.change(row, bridgeDuration="90")
    await story.sent("update")
    await refused(story, "create", 403)
    await quota(story, "create", 60, 477, None, "retry-after: 60")


async def salesforce_task(play: Play) -> None:
    """The key of the row is that of the task."""
    story = await play.story("salesforce-task", salesforce, EXPIRED, **SALESFORCE)
    row = await story.row()
    (upsert,) = await story.sent("upsert")
    assert upsert.target == f"/services/data/v67.0/sobjects/Task/Infinity_Key__c/1234-{row['rowId']}"
    assert upsert.json == {
        "Subject": "Call from +447700900123 (Sales & Co)", "Status": "Completed", "ActivityDate": "2026-11-20",
        "CallType": "Inbound", "CallDurationInSeconds": 97, "CallDisposition": "Answered",
        "CallObject": f"1234-{row['rowId']}", "Description": "spring, boiler",
    }  # fmt: skip
    await story.ended("delivered")
    await story.change(row, callRating="Sale")
    (update,) = await story.sent("upsert")
    assert (update.target, update.json["CallDisposition"]) == (upsert.target, "Sale")
    await expired(story, "upsert")
    await there(story, "upsert", 400, [{"errorCode": "DUPLICATE_VALUE"}])
    await refused(story, "upsert", 300, ["/a", "/b"])
    story.crm.then(400, [{"errorCode": "UNABLE_TO_LOCK_ROW"}])
    await story.row()
    await story.sent("upsert")
    assert pause_s(await story.ended("later")) <= 10
    await quota(story, "upsert", 900, 403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}])


async def salesforce_composite(play: Play) -> None:
    """One request writes the task, searches the contact and links them. What failed stands in a 200."""
    story = await play.story("salesforce-composite", composite, EXPIRED, **SALESFORCE)
    story.crm.contacts["+447700900123"] = "0035"
    row = await story.row()
    (sent,) = await story.sent("composite")
    assert [each["referenceId"] for each in sent.json["compositeRequest"]] == ["task", "who", "link"]
    (task,) = story.crm.records.values()
    assert (task["WhoId"], task["CallObject"]) == ("0035", f"1234-{row['rowId']}")
    await story.ended("delivered")
    await story.change(row, callRating="Sale")
    await story.sent("composite")
    assert [each["CallDisposition"] for each in story.crm.records.values()] == ["Sale"]
    await story.row(srcPhoneNumber="02079460999")
    await story.sent("composite")
    await story.ended("delivered")
    assert "WhoId" not in [*story.crm.records.values()][1]
    await story.row(srcPhoneNumber="anonymous")
    (sent,) = await story.sent("composite")
    assert [each["referenceId"] for each in sent.json["compositeRequest"]] == ["task"]
    await expired(story, "composite")
    await there(story, "composite", 200, _failed(400, "DUPLICATE_VALUE"))
    await refused(story, "composite", 200, _failed(400, "REQUIRED_FIELD_MISSING"))
    await quota(story, "composite", 900, 200, _failed(403, "REQUEST_LIMIT_EXCEEDED"))


def _failed(status: int, code: str) -> Any:
    part = {"body": [{"errorCode": code, "message": code}], "httpStatusCode": status, "referenceId": "task"}
    return {"compositeResponse": [part]}


async def dynamics_phonecall(play: Play) -> None:
    """The id is computed from the key of the row."""
    story = await play.story(
        "dynamics-phonecall", dynamics, (401, None), host="acme.crm11.dynamics.com", tenant="t", clientId="i",
        clientSecret="s",
    )  # fmt: skip
    row = await story.row()
    (upsert,) = await story.sent("upsert")
    assert upsert.json == {
        "subject": "Call from +447700900123 (Sales & Co)", "phonenumber": "+447700900123", "directioncode": False,
        "actualstart": "2026-11-20T14:05:09.000Z", "actualend": "2026-11-20T14:06:46.000Z",
        "actualdurationminutes": 2, "description": "spring, boiler", "category": "Answered", "leftvoicemail": False,
    }  # fmt: skip
    assert story.crm.grants[0]["scope"] == "https://acme.crm11.dynamics.com/.default"
    await story.ended("delivered")
    await story.change(row, callRating="Sale")
    (update,) = await story.sent("upsert")
    assert (update.target, update.json["category"]) == (upsert.target, "Sale")
    await expired(story, "upsert")
    await there(story, "upsert", 412, {"error": {"code": "DuplicateRecord"}})
    await refused(story, "upsert", 413)
    await quota(story, "upsert", 120, 429, {"error": {"code": "0x80072322"}}, "retry-after: 120")


async def pipedrive_activity(play: Play) -> None:
    """The person is searched by the number as it is stored; a 200 can be a refusal."""
    story = await play.story("pipedrive-activity", pipedrive, company="acme", token="0123456789abcdef")
    story.crm.contacts["+447700900123"] = "77"
    row = await story.row()
    _, create = await story.sent("search", "create")
    assert create.json == {
        "subject": "Call from +447700900123 (Sales & Co)", "type": "call", "done": True, "due_date": "2026-11-20",
        "due_time": "14:05", "duration": "00:01", "person_id": 77, "note": "spring, boiler",
    }  # fmt: skip
    await story.ended("delivered")
    await story.change(row, campaign="<b>autumn</b>")
    (update,) = await story.sent("update")
    assert (update.target, update.json["note"]) == ("/api/v2/activities/9001", "&lt;b&gt;autumn&lt;/b&gt;, boiler")
    await refused(story, "create", 200, {"success": False, "error": "no"})
    await quota(story, "create", 10, 429)


async def zoho_call(play: Play) -> None:
    """A field with unique values tells a call that is there, and the token says where to send."""
    story = await play.story(
        "zoho-call", zoho, (401, {"code": "INVALID_TOKEN"}), dataCentre="eu", clientId="1000.X", clientSecret="s",
        refreshToken="1000.refresh",
    )  # fmt: skip
    row = await story.row()
    (create,) = await story.sent("create")
    assert create.json["data"] == [{
        "Subject": "Call from +447700900123 (Sales & Co)", "Call_Result": "Answered", "Description": "spring, boiler",
        "Call_Type": "Inbound", "Call_Start_Time": "2026-11-20T14:05:09+00:00", "Call_Duration": "01:24",
        "Call_Duration_in_seconds": 84, "Caller_ID": "+447700900123", "Dialled_Number": "+442079460018",
        "Infinity_Key": f"1234-{row['rowId']}",
    }]  # fmt: skip
    assert story.crm.grants[0]["refresh_token"] == "1000.refresh"
    await story.ended("delivered")
    await story.change(row, callRating="Sale")
    (update,) = await story.sent("update")
    assert (update.target, update.json["data"][0]["Call_Result"]) == ("/crm/v8/Calls/9001", "Sale")
    missed = await story.row(callStage="queue", bridgeDuration="")
    (create,) = await story.sent("create")
    assert create.json["data"][0]["Call_Type"] == "Missed"
    await story.ended("delivered")
    await expired(story, "create")
    story.crm.records["8000"] = {"Infinity_Key": f"1234-{int(missed['rowId']) + 1000}"}
    doubled = await story.row(rowId=str(int(missed["rowId"]) + 1000))
    await story.sent("create")
    await story.ended("delivered")
    await story.change(doubled, callRating="Lead")
    (update,) = await story.sent("update")
    assert update.target == "/crm/v8/Calls/8000"
    await refused(story, "create", 207, {"data": [{"code": "INVALID_DATA"}]})
    await quota(story, "create", 900, 400, {"code": "LIMIT_EXCEEDED"})


async def google_data_manager(play: Play, private_key: str) -> None:
    """The click id and the conversion action of the goal make a conversion; without one, nothing is sent."""
    story = await play.story(
        "google-data-manager", accepting(200, {"requestId": "r"}), (401, {"error": {"status": "UNAUTHENTICATED"}}),
        customerId="1234567890", conversionActions="11=1,12=987654321", consent="CONSENT_GRANTED",
        clientEmail="relay@example.iam.gserviceaccount.com", privateKey=private_key,
    )  # fmt: skip
    await story.row(pt_gclid="")
    await story.row(goal="99")
    row = await story.row()
    (ingest,) = await story.sent("ingest")
    assert ingest.json["destinations"][0]["productDestinationId"] == "987654321"
    assert ingest.json["events"] == [{
        "transactionId": f"1234-{row['rowId']}", "eventTimestamp": "2026-11-20T14:05:09.000Z", "eventSource": "PHONE",
        "adIdentifiers": {"gclid": "EAIaIQobChMI-test_1"}, "conversionValue": 250, "currency": "GBP",
        "consent": {"adUserData": "CONSENT_GRANTED"},
    }]  # fmt: skip
    await expired(story, "ingest")
    await refused(story, "ingest", 400, {"error": {"status": "INVALID_ARGUMENT"}})
    await quota(story, "ingest", 60, 429, {"error": {"status": "RESOURCE_EXHAUSTED"}})


async def ga4_event(play: Play) -> None:
    """The visitor's client id and session make an event; without a client id, nothing is sent."""
    story = await play.story(
        "ga4-event", accepting(204), measurementId="G-ABC123DEF4", apiSecret="secret123", server="region1"
    )
    await story.row(c_clientId="")
    row = await story.row()
    (collect,) = await story.sent("collect")
    assert collect.json == {
        "client_id": "111.222", "timestamp_micros": 1795183509000000,
        "events": [{"name": "phone_call", "params": {
            "engagement_time_msec": 1, "goal": "Call Qualified", "transaction_id": f"1234-{row['rowId']}",
            "session_id": "1795183000", "value": 250, "currency": "GBP",
        }}],
    }  # fmt: skip
    await story.ended("delivered")
    await refused(story, "collect", 500)


async def slack_missed_call(play: Play) -> None:
    """Only missed calls are told of, and a hook that is gone disables the endpoint."""
    url = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXX"
    story = await play.story("slack-missed-call", accepting(200, "ok"), webhookUrl=url)
    await story.row()
    await story.row(callStage="ring", bridgeDuration="0")
    (post,) = await story.sent("post")
    assert post.json == {"text": "Missed call from +447700900123 (Sales &amp; Co)"}
    await story.ended("delivered")
    story.crm.then(404, "no_service")
    await story.row(callStage="queue", bridgeDuration="0", srcPhoneNumber="anonymous")
    (post,) = await story.sent("post")
    assert post.json == {"text": "Missed call from a withheld number (Sales &amp; Co)"}
    await story.ended("disabled")


async def teams_missed_call(play: Play) -> None:
    """Only missed calls are told of, with a card whose text is Markdown."""
    url = (
        "https://default0.1a.environment.api.powerplatform.com/powerautomate/invoke?api-version=1&sp=%2Ftriggers&sig=x"
    )
    story = await play.story("teams-missed-call", accepting(202), webhookUrl=url)
    await story.row()
    await story.row(callStage="ring", bridgeDuration="0", dgrpName="*Sales* [x](y)")
    (post,) = await story.sent("post")
    (block,) = post.json["attachments"][0]["content"]["body"]
    assert block["text"] == "Missed call from +447700900123 (\\*Sales\\* \\[x\\]\\(y\\))"
    await story.ended("delivered")
    story.crm.then(429, None, "retry-after: 60")
    await story.row(callStage="ring", bridgeDuration="0")
    await story.sent("post")
    assert pause_s(await story.ended("later")) >= 60


STORIES: dict[str, Callable[..., Awaitable[None]]] = {
    "hubspot-call": hubspot_call,
    "hubspot-unattached-call": hubspot_unattached_call,
    "salesforce-task": salesforce_task,
    "salesforce-composite": salesforce_composite,
    "dynamics-phonecall": dynamics_phonecall,
    "pipedrive-activity": pipedrive_activity,
    "zoho-call": zoho_call,
    "google-data-manager": google_data_manager,
    "ga4-event": ga4_event,
    "slack-missed-call": slack_missed_call,
    "teams-missed-call": teams_missed_call,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="played")
async def _played() -> AsyncIterator[dict[str, BaseException | None]]:
    """How each story ended: the error that it raised, or None."""
    async with playing() as play:
        private_key = new_key()
        told = [
            story(play, private_key) if name == "google-data-manager" else story(play)
            for name, story in STORIES.items()
        ]
        yield dict(zip(STORIES, await asyncio.gather(*told, return_exceptions=True), strict=True))


def new_key() -> str:
    """A private key in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", STORIES)
async def test_a_recipe_sends_what_its_system_takes(played: dict[str, BaseException | None], name: str) -> None:
    """From the row to the request, and from the answer to what becomes of the delivery."""
    error = played[name]
    if error is not None:
        raise error

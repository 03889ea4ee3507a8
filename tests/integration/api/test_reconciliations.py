"""Reconciliations over the API: asked for, followed, listed and repaired."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from relay.domain.model import EndpointId, SourceUid
from relay.domain.reconciling import Counts, Difference
from relay.store.reconciliations import Run
from relay.wiring import Stores
from tests.integration.api.conftest import TestClock
from tests.integration.api.storing import Store
from tests.integration.api.test_sources import SOURCE

UK = SourceUid("uk")
PATH = "/source/uk/reconciliation"
EP = EndpointId("ep_1")


@pytest.fixture
async def called(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client; the source `uk` is there."""
    await http.put("/source/uk", json=SOURCE)
    return http


async def asked(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post(PATH, json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def ended(stores: Stores, run: str, *found: Difference, **fields: Any) -> Run:
    """A worker has ended it."""
    before = await stores.reconciliations.get(UK, run)
    after = structs.replace(before, phase="done", ended_at_ms=before.asked_at_ms + 5000, **fields)
    return await stores.reconciliations.save(UK, before, after, differences=found)


async def test_one_that_was_asked_for_waits_for_a_worker(
    called: httpx.AsyncClient, stores: Stores, clock: TestClock
) -> None:
    """It is there at once, says what it is about, and a worker has to look after it now."""
    told = await asked(called, afterRowId=5, untilRowId=9, since="2026-11-24T10:00:00Z")
    assert told == {
        "id": told["id"], "source": "uk", "state": "comparing", "scheduled": False, "afterRowId": 5, "untilRowId": 9,
        "since": "2026-11-24T10:00:00.000Z", "until": None, "progress": [], "rowsShown": 0, "rowsStored": 0,
        "messages": 0, "differences": {}, "error": None, "repair": None, "createdAt": "2026-09-21T14:13:20.000Z",
        "endedAt": None,
    }  # fmt: skip
    assert (await called.get(f"{PATH}/{told['id']}")).json() == told
    assert (await called.get(PATH)).json()["data"] == [told]
    assert await stores.reconciliations.due([UK], now_ms=clock.at_ms) == ([UK], [])


async def test_what_was_found_is_shown(called: httpx.AsyncClient, stores: Stores, store: Store) -> None:
    """Progress, counts, endpoints, and each difference with its message if that is kept and is the row's."""
    message = await store(UK, 7)
    number, _ = await stores.events.find(UK, message) or (0, None)
    run = (await asked(called))["id"]
    await ended(
        stores, run,
        Difference("missing", "t", 3, "all"), Difference("dead", "t", 7, endpoint=EP, number=number),
        Difference("dead", "i", 8, endpoint=EP, number=number),
        position={"t": 9, "i": 8}, ends={"t": 9, "i": 8}, shown=9, stored=8, events=8,
        found={"missing": 1, "dead": 2}, endpoints={EP: Counts(confirmed=3, dead=2, waiting=1)},
    )  # fmt: skip
    told = (await called.get(f"{PATH}/{run}")).json()
    assert (told["state"], told["differences"]) == ("done", {"missing": 1, "dead": 2})
    assert told["progress"] == [
        {"rows": "triggers", "rowId": 9, "untilRowId": 9}, {"rows": "itemisedCalls", "rowId": 8, "untilRowId": 8},
    ]  # fmt: skip
    listed = (await called.get(f"{PATH}/{run}/difference")).json()["data"]
    assert [(each["kind"], each["rows"], each["rowId"], each["route"], each["endpointId"]) for each in listed] == [
        ("missing", "triggers", "3", "all", None), ("dead", "triggers", "7", None, EP),
        ("dead", "itemisedCalls", "8", None, EP),
    ]  # fmt: skip
    assert [each["msgId"] for each in listed[:2]] == [None, message]
    counts = (await called.get(f"{PATH}/{run}/endpoint")).json()["data"]
    assert counts == [
        {"endpointId": EP, "owed": 6, "confirmed": 3, "waiting": 1, "unwanted": 0, "dead": 2, "dropped": 0,
         "undelivered": 0},
    ]  # fmt: skip


async def test_differences_are_repaired_once_it_is_done(called: httpx.AsyncClient, stores: Stores) -> None:
    """Before, that is a conflict; then it is under way again, for the kinds that were asked for."""
    run = (await asked(called))["id"]
    early = await called.post(f"{PATH}/{run}/repair", json={})
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    await ended(stores, run, Difference("missing", "t", 3, "all"))
    begun = await called.post(f"{PATH}/{run}/repair", json={})
    assert (begun.status_code, begun.json()["state"]) == (202, "repairing")
    assert begun.json()["repair"] == {"kinds": ["missing", "undelivered"], "repaired": 0, "unrepaired": 0}
    before = await stores.reconciliations.get(UK, run)
    await stores.reconciliations.save(UK, before, structs.replace(before, phase="done"))
    again = await called.post(f"{PATH}/{run}/repair", json={"kinds": ["dead", "dead", "dropped"]})
    assert again.json()["repair"]["kinds"] == ["dead", "dropped"]


async def test_few_can_be_under_way(called: httpx.AsyncClient, stores: Stores, clock: TestClock) -> None:
    """The sixth is refused until one of them is done, and the oldest go once there are thirty."""
    first = (await asked(called))["id"]
    for _ in range(4):
        await asked(called)
    refused = await called.post(PATH, json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await ended(stores, first)
    for n in range(30):
        clock.at_ms += 1
        run = (await asked(called))["id"]
        await ended(stores, run, Difference("missing", "t", n, "all"))
    kept = (await called.get(PATH, params={"limit": 250})).json()["data"]
    assert len(kept) == 30
    assert first not in [each["id"] for each in kept]
    assert (await called.get(f"{PATH}/{first}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "way"),
    [
        ({"afterRowId": 5, "untilRowId": 5}, "untilRowId"),
        ({"since": "2026-11-24T10:00:00Z", "until": "2026-11-24T09:00:00Z"}, "until"),
        ({"since": "yesterday"}, "since"),
        ({"until": "1969-01-01T00:00:00Z"}, "until"),
        ({"since": "9999-12-31T23:59:59-23:59"}, "since"),
        ({"rowId": 5}, "rowId"),
    ],
)
async def test_a_range_must_make_sense(called: httpx.AsyncClient, body: dict[str, Any], way: str) -> None:
    """The answer names the field."""
    answer = await called.post(PATH, json=body)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == [["body", way]]


async def test_what_is_not_there_is_not_found(called: httpx.AsyncClient) -> None:
    """Whether the source or the reconciliation."""
    assert (await called.get("/source/fr/reconciliation")).status_code == 404
    assert (await called.post("/source/fr/reconciliation", json={})).status_code == 404
    for run in ("rec_1", "rec_" + 27 * "0"):
        for path in (f"{PATH}/{run}", f"{PATH}/{run}/difference", f"{PATH}/{run}/endpoint"):
            assert (await called.get(path)).status_code == 404
        assert (await called.post(f"{PATH}/{run}/repair", json={})).status_code == 404

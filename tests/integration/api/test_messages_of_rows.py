"""Messages by source and by row: found by the books, and without them."""

from typing import Any

import httpx
import pytest
from svix.api import MessageListOptions, SvixAsync

from relay.api import feeds
from relay.domain import envelope
from relay.domain.event_types import CALL, codes_of
from relay.domain.identity import message_id
from relay.domain.model import MessageId, StoredEvent
from relay.store import book_keys
from relay.store.events import Events, pack_event
from relay.store.pages import RowCommit
from relay.store.routes import NEWEST
from relay.wiring import Stores
from tests.integration.api.storing import NOW, A, B, Store

ROWS = 6


async def changed(stores: Stores, store: Store, row_id: int, *, space: str = "t", revision: int = 2) -> MessageId:
    """Store a change of a row of source A."""
    token = await store._token(A)
    _, number = await stores.pages.known(A, space, [row_id], token=token)
    message = message_id(A, space=space, row_id=row_id, digest=bytes([revision]) * 32, recurrence=0)
    data = envelope.data(
        source=A, igrp=1, row_id=row_id, revision=revision, classes=CALL, trigger={"rowId": row_id, "act": "call"}
    )
    body = envelope.encode(data, timestamp="2026-09-21T00:00:00.000Z")
    at_ms = NOW + 100 + revision
    event = StoredEvent(message, str(row_id), at_ms, revision, codes_of(CALL, None), body)
    row = RowCommit(row_id, b"seen", message, number, pack_event(event), [])
    await stores.pages.commit(A, "all", [row], space=space, cursor=None, token=token, version=NEWEST, now_ms=at_ms)
    return message


async def listed(http: httpx.AsyncClient, **query: Any) -> list[str]:
    """The ids of the messages of a page that is the only one."""
    answer = (await http.get("/app/one/msg", params=query)).json()
    assert answer["done"] is True
    return [each["id"] for each in answer["data"]]


@pytest.fixture
async def rows(http: httpx.AsyncClient, store: Store) -> dict[tuple[str, int], MessageId]:
    """Rows of two sources with the same ids, and a post."""
    await http.post("/app", json={"uid": "one", "name": "One"})
    await http.post("/app/one/msg", json={"eventType": "invoice.paid", "eventId": "posted", "payload": {"rowId": "3"}})
    return {
        (source, row): await store(source, row, at_ms=NOW + row, act="call")
        for row in range(1, ROWS + 1)
        for source in (A, B)
    }


async def test_messages_are_chosen_by_source_and_row(
    svix: SvixAsync, http: httpx.AsyncClient, stores: Stores, store: Store, rows: dict[tuple[str, int], MessageId]
) -> None:
    """Every change of the row, with the itemised call of the same id; combined with what else chooses."""
    second, charge = await changed(stores, store, 3), await changed(stores, store, 3, space="i", revision=4)
    assert await listed(http, source="b") == [rows[B, row] for row in range(ROWS, 0, -1)]
    assert await listed(http, row_id=3, source="a") == [charge, second, rows[A, 3]]
    assert await listed(http, row_id=3, source="a", order="ascending") == [rows[A, 3], second, charge]
    assert await listed(http, row_id=3) == [charge, second, rows[B, 3], rows[A, 3]]
    assert await listed(http, row_id=3, before="2026-09-21T14:13:20.050Z", source="a") == [rows[A, 3]]
    assert await listed(http, row_id=3, event_types="goal.created") == []
    assert await listed(http, row_id=77) == []
    everything = await svix.message.list("one", MessageListOptions(limit=250))
    assert {rows[A, 3], second, charge} < {each.id for each in everything.data}


async def test_a_row_is_listed_page_by_page(
    http: httpx.AsyncClient, stores: Stores, store: Store, rows: dict[tuple[str, int], MessageId]
) -> None:
    """Forwards and back, in both orders, each message once."""
    expected = [rows[A, 3]] + [await changed(stores, store, 3, revision=revision) for revision in range(2, 6)]
    for order, wanted in (("ascending", expected), ("descending", expected[::-1])):
        query = {"row_id": 3, "source": "a", "limit": 2, "order": order}
        first = (await http.get("/app/one/msg", params=query)).json()
        second = (await http.get("/app/one/msg", params=query | {"iterator": first["iterator"]})).json()
        third = (await http.get("/app/one/msg", params=query | {"iterator": second["iterator"]})).json()
        back = (await http.get("/app/one/msg", params=query | {"iterator": third["prevIterator"]})).json()
        pages = [[each["id"] for each in page["data"]] for page in (first, second, third, back)]
        assert pages == [wanted[:2], wanted[2:4], wanted[4:], wanted[2:4]]
        assert (first["done"], third["done"]) == (False, True)


async def test_a_row_is_found_without_reading_others(
    http: httpx.AsyncClient, rows: dict[tuple[str, int], MessageId], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are newer, the first page has it: the list of all events is not read."""

    async def refuse(*_: object, **__: object) -> list[Any]:
        raise AssertionError("all events are read")

    monkeypatch.setattr(Events, "page", refuse)
    assert await listed(http, row_id=1) == [rows[B, 1], rows[A, 1]]


async def test_what_is_older_than_the_books_is_found_by_reading(
    http: httpx.AsyncClient,
    stores: Stores,
    store: Store,
    rows: dict[tuple[str, int], MessageId],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The books can be shed before the events are. A page ends when enough was looked at, as of other filters."""
    second = await changed(stores, store, 3)
    found = await stores.events.find(A, second)
    assert found is not None
    await stores.redis.hset(book_keys.books_from(A), "number", found[0])  # type: ignore[misc]
    await stores.redis.delete(book_keys.book_rows(B, "t", 0))
    await stores.redis.hset(book_keys.books_from(B), "number", 1000)  # type: ignore[misc]
    for order, wanted in (("descending", [second, rows[B, 3], rows[A, 3]]),):
        assert await listed(http, row_id=3, order=order) == wanted
        assert await listed(http, row_id=3, order="ascending") == wanted[::-1]
    monkeypatch.setattr(feeds, "READ_AT_MOST", 2)
    short = (await http.get("/app/one/msg", params={"row_id": 1, "source": "b"})).json()
    assert (short["data"], short["done"]) == ([], False)


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"source": "none"}, "source", "must be the uid of a source of this application, and it has no source `none`"),
        ({"source": "b"}, "source", "it has no source `b`"),
        ({"source": "a b"}, "source", "must be 1 to 128 letters"),
        ({"row_id": "x"}, "row_id", "must be an integer from 1 to 9223372036854775807"),
        ({"row_id": "0"}, "row_id", "must be an integer from 1"),
        ({"row": "1"}, "row", "did you mean `row_id`?"),
    ],
)
async def test_bad_values_are_refused(
    http: httpx.AsyncClient, store: Store, query: dict[str, str], field: str, said: str
) -> None:
    """Also a source that belongs to others, which is not told from one that does not exist."""
    await http.post("/app", json={"uid": "one", "name": "One", "sources": ["a"]})
    answer = await http.get("/app/one/msg", params=query)
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert (fault["loc"], said in fault["msg"]) == (["query", field], True), fault


async def test_a_row_that_the_filter_hides_is_not_found(http: httpx.AsyncClient, store: Store) -> None:
    """The filter of the application holds for rows that are asked for by their ids."""
    await http.post("/app", json={"uid": "one", "name": "One", "filter": {"act": "call"}})
    await store(A, 1, act="chat")
    shown = await store(B, 1, act="call")
    assert await listed(http, row_id=1) == [shown]

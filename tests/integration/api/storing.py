"""Events of rows in one of two sources, stored as a page is committed."""

from collections.abc import Iterable
from typing import Any

from relay.domain import envelope
from relay.domain.event_types import CALL, codes_of
from relay.domain.identity import message_id
from relay.domain.model import ApiKeyAuth, EndpointId, MessageId, Source, SourceUid, StoredEvent
from relay.store.events import pack_event
from relay.store.pages import RowCommit
from relay.store.routes import NEWEST, Token
from relay.wiring import Stores

A, B = SourceUid("a"), SourceUid("b")
NOW = 1_790_000_000_000


class Store:
    """Calling it stores an event and gives its message id."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._tokens: dict[SourceUid, Token] = {}

    async def _token(self, source: SourceUid) -> Token:
        if source not in self._tokens:
            token = await self._stores.routes.take(source)
            assert token is not None
            self._tokens[source] = token
        return self._tokens[source]

    async def open(self) -> "Store":
        """Make both sources."""
        for uid in (A, B):
            source = Source(
                uid=uid,
                name=uid,
                base_url="https://u.test",
                version="v2",
                igrp=1,
                auth=ApiKeyAuth("k"),
                routes=("all",),
            )
            await self._stores.sources.put(uid, lambda _, source=source: source)  # type: ignore[misc]
        return self

    async def __call__(
        self,
        source: SourceUid,
        row_id: int,
        *,
        classes: int = CALL,
        at_ms: int = NOW,
        to: Iterable[str] = (),
        repaired: bool = False,
        **trigger: Any,
    ) -> MessageId:
        """`to` are the ids of endpoints that it is for."""
        token = await self._token(source)
        _, number = await self._stores.pages.known(source, "t", [row_id], token=token)
        message = message_id(source, space="t", row_id=row_id, digest=b"d" * 32, recurrence=0)
        data = envelope.data(
            source=source,
            igrp=1,
            row_id=row_id,
            revision=1,
            classes=classes,
            trigger={"rowId": row_id, **trigger},
            repaired=repaired,
        )
        types = codes_of(classes, None)
        event = StoredEvent(
            id=message,
            row_id=str(row_id),
            stored_at_ms=at_ms,
            revision=1,
            types=types,
            body=envelope.encode(data, timestamp="2026-09-21T00:00:00.000Z"),
        )
        lanes = [(EndpointId(endpoint), types[0]) for endpoint in to]
        row = RowCommit(row_id, b"seen", message, number, pack_event(event), lanes)
        await self._stores.pages.commit(
            source, "all", [row], space="t", cursor=row_id, token=token, version=NEWEST, now_ms=at_ms
        )
        return message

"""Deliveries that did not arrive, as a dispatcher and upkeep leave them, in the world of the API's tests."""

from collections.abc import AsyncIterator
from typing import Any

import httpx

from relay.domain.books import State
from relay.domain.event_types import CALL, codes_of
from relay.domain.model import EndpointId, SourceUid
from relay.store import keys
from relay.store.books import Books
from relay.wiring import Stores
from tests.integration.api.storing import Store

URL = "https://hooks.example.com/in"
CODE = codes_of(CALL, None)[0]


class Losses:
    """Two applications with endpoints: crm and erp of one, other of two."""

    def __init__(self, http: httpx.AsyncClient, stores: Stores, store: Store) -> None:
        self.http, self.stores, self.store = http, stores, store
        self.ids: dict[str, str] = {}

    async def open(self) -> "Losses":
        for app, uids in (("one", ("crm", "erp")), ("two", ("other",))):
            self.ids[app] = (await self.http.post("/app", json={"name": app, "uid": app})).json()["id"]
            for uid in uids:
                made = await self.http.post(f"/app/{app}/endpoint", json={"url": URL, "uid": uid})
                self.ids[uid] = made.json()["id"]
        return self

    async def give_up(
        self, source: SourceUid, row: int, uid: str, *, at_ms: int, tail: str = "10 schedule_used_up"
    ) -> str:
        """A delivery that ended as a dispatcher ends it; `tail` is the next try, and the reason."""
        endpoint = EndpointId(self.ids[uid])
        message = await self.store(source, row, to=[endpoint])
        await self.stores.redis.rpop(keys.lane(source, endpoint))  # type: ignore[misc]
        number, _ = await self.stores.events.find(source, message) or (0, None)
        member = f"{endpoint} a{number}:{CODE}:{message[4:9]}:{tail}"
        await self.stores.redis.zadd(keys.dead(source), {member: at_ms})
        await Books(self.stores.redis).settle(source, [(endpoint, number)], State.DEAD)
        return message

    async def drop(self, source: SourceUid, row: int, uid: str, *, at_ms: int, reason: str = "backlog_full") -> str:
        """A delivery whose event need not be kept, as upkeep leaves it."""
        message = await self.store(source, row)
        number, _ = await self.stores.events.find(source, message) or (0, None)
        entry = f"a{number}:{CODE}:{message[4:9]}:3 {reason} {message} {row}"
        endpoint = EndpointId(self.ids[uid])
        await self.stores.redis.zadd(keys.dropped(source, endpoint), {entry: at_ms})
        await self.stores.redis.hincrby(keys.dropped_counts(source), endpoint, 1)  # type: ignore[misc]
        return message

    async def listed(self, **query: Any) -> list[dict[str, Any]]:
        """All pages."""
        entries: list[dict[str, Any]] = []
        for _ in range(100):
            page = (await self.http.get("/undelivered", params=query)).json()
            assert len(page["data"]) <= query.get("limit", 50)
            entries += page["data"]
            if page["done"]:
                return entries
            query["iterator"] = page["iterator"]
        raise AssertionError("no last page")

    async def listed_back(self, **query: Any) -> list[dict[str, Any]]:
        """From the last of all back to the first, without the last."""
        last = None
        async for page in self.pages(**query | {"limit": 1}):
            last = page["prevIterator"] if page["data"] else last
        if last is None:
            return []
        return [entry async for page in self.pages(**query, iterator=last) for entry in page["data"][::-1]]

    async def pages(self, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """All pages, in the direction of the iterator."""
        back = str(query.get("iterator", "")).startswith("~")
        for _ in range(500):
            page = (await self.http.get("/undelivered", params=query)).json()
            yield page
            if page["done"]:
                return
            query["iterator"] = page["prevIterator" if back else "iterator"]

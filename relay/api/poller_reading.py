"""Reading what an endpoint wants by the numbers of events, from a bookmark on."""

import secrets

import msgspec

from relay.api.feeds import Item, read_feed
from relay.api.iterators import SealedIterators, read_iterator, write_iterator
from relay.api.paging import Paging
from relay.api.schemas.messages import PolledMessageOut, show_polled
from relay.api.visibility import events_feed
from relay.domain.envelope import data_of, type_names
from relay.domain.matching import unfit_reason, wants
from relay.domain.model import Application, Endpoint, SourceUid, StoredEvent
from relay.domain.positions import SLACK_MS, Bookmark, Position
from relay.domain.posting import wants_post
from relay.domain.readers import privacy_of
from relay.errors import Unreadable
from relay.wiring import Stores


class PollerReading:
    """One request that reads for an endpoint. Its bookmarks open for this endpoint and one consumer only."""

    def __init__(self, stores: Stores, application: Application, endpoint: Endpoint) -> None:
        self._stores = stores
        self._application = application
        self._endpoint = endpoint

    def seal(self, bookmark: Bookmark, consumer: str) -> str:
        """The iterator of a bookmark."""
        return self._iterators(consumer).write(bookmark)

    def open(self, iterator: str, consumer: str) -> Bookmark:
        """The bookmark of an iterator. Raises Invalid when it is another endpoint's, another consumer's, or none."""
        return self._iterators(consumer).read(iterator, Bookmark)

    def text(self, bookmark: Bookmark) -> bytes:
        """A bookmark as it is kept. The same bookmark always gives the same text."""
        return msgspec.json.encode(bookmark)

    def parsed(self, text: bytes) -> Bookmark | None:
        """A bookmark that was kept. None: there is none, or it can't be read."""
        try:
            return msgspec.json.decode(text, type=Bookmark) if text else None
        except msgspec.MsgspecError:
            return None

    async def begin(self, after_ms: int | None) -> Bookmark:
        """The bookmark of a time, in all sources. None: of the creation of the endpoint."""
        sources = await self._stores.configuration.streams_of(self._application)
        at_ms = self._created_ms if after_ms is None else after_ms
        return _new({source: await self._at(source, at_ms) for source in sources})

    async def page(
        self, bookmark: Bookmark, *, limit: int, event_type: str | None = None, channel: str | None = None
    ) -> tuple[list[PolledMessageOut], Bookmark, bool]:
        """Up to `limit` messages after a bookmark, the bookmark after them, and whether there are no more (yet).

        Raises Unreadable when a filter can't be used by this release.
        """
        if (reason := unfit_reason(self._application, self._endpoint)) is not None:
            raise Unreadable(f"endpoint {self._endpoint.id} cannot be polled: {reason}")
        sources = await self._stores.configuration.streams_of(self._application)
        begin = {source: await self._valid(source, bookmark.positions.get(source)) for source in sources}
        edges = write_iterator({source: position.number for source, position in begin.items()})
        found = await read_feed(
            events_feed(self._stores),
            sources,
            Paging(limit=limit, iterator=edges),
            show=self._show,
            wanted=lambda event: self._wants(event, event_type, channel),
        )
        ends = read_iterator(found.iterator or edges, dict[SourceUid, int])
        moved = {source: await self._moved(source, begin[source], ends[source]) for source in sources}
        return found.data, _new(moved), found.done

    async def _show(self, items: list[Item[int, StoredEvent]]) -> list[PolledMessageOut]:
        privacy = privacy_of(self._application, self._endpoint)
        return [show_polled(item.value, privacy, self._endpoint.event_types) for item in items]

    def _wants(self, event: StoredEvent, event_type: str | None, channel: str | None) -> bool:
        if event_type is not None and event_type not in type_names(event):
            return False
        if channel is not None and (event.post is None or channel not in (event.post.channels or ())):
            return False
        if event.post is not None:
            return wants_post(self._endpoint, event.post, data_of(event))
        return wants(self._application, self._endpoint, event.types, data_of(event))

    async def _valid(self, source: SourceUid, position: Position | None) -> Position:
        """A position that leads past no event that was not read."""
        if position is None:
            return await self._at(source, self._created_ms)
        newest, before = await self._stores.events.newest(source), await self._event(source, position.number - 1)
        has_neighbours = before is None and await self._stores.events.keeps_bucket_of(source, position.number - 1)
        if position.is_lost(newest=newest, before=before, has_neighbours=has_neighbours):
            return await self._at(source, position.at_ms - SLACK_MS)
        return position

    async def _at(self, source: SourceUid, at_ms: int) -> Position:
        number = await self._stores.events.first_after(source, at_ms)
        before = await self._event(source, number - 1)
        return Position(number, "", at_ms).moved(number, before)

    async def _moved(self, source: SourceUid, position: Position, number: int) -> Position:
        if number == position.number:
            return position
        return position.moved(number, await self._event(source, number - 1))

    async def _event(self, source: SourceUid, number: int) -> StoredEvent | None:
        return (await self._stores.events.read(source, [number])).get(number) if number > 0 else None

    @property
    def _created_ms(self) -> int:
        return self._endpoint.created_at_ms - SLACK_MS

    def _iterators(self, consumer: str) -> SealedIterators:
        return SealedIterators(self._stores.vault, f"poller|{self._endpoint.id}|{consumer}")


def _new(positions: dict[SourceUid, Position]) -> Bookmark:
    return Bookmark(secrets.token_hex(8), {str(source): position for source, position in positions.items()})

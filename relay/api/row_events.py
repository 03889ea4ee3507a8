"""The events of one row, by the books, which name the events of each row: no other row has to be looked at."""

from collections.abc import Sequence

from relay.api.feeds import Feed
from relay.api.visibility import events_feed
from relay.domain.model import Application, SourceUid, StoredEvent
from relay.domain.streams import are_posts
from relay.errors import Fault, Invalid
from relay.wiring import Stores

SPACES = ("t", "i")
"""Triggers and itemised calls: one rowId can be a row of each."""

Found = Sequence[tuple[int, StoredEvent]]


async def streams_asked(
    application: Application, stores: Stores, *, source: str | None, has_rows: bool
) -> list[SourceUid]:
    """The streams of an application, or the one source that is asked for. `has_rows`: no posts.

    Raises Invalid for a source that the application has not, whether there is one or not.
    """
    streams = await stores.configuration.streams_of(application)
    if source is None:
        return [each for each in streams if not (has_rows and are_posts(each))]
    if source not in streams:
        why = f"must be the uid of a source of this application, and it has no source `{source}`"
        raise Invalid(Fault(("query", "source"), why))
    return [SourceUid(source)]


def row_feed(stores: Stores, row_id: int) -> Feed[int, StoredEvent]:
    """The events of a row by number. Events that are older than the books come with those of all other rows."""
    base = events_feed(stores)

    async def read(source: SourceUid, *, edge: int | None, newer: bool, limit: int) -> Found:
        books_from = (await stores.books.since(source)).number
        if newer and (edge or 0) < books_from:
            page = await stores.events.page(source, edge=edge, newer=True, limit=limit)
            if older := [each for each in page if each[0] < books_from]:
                return older
        if newer or edge is None or edge > books_from:
            found = await _in_books(stores, source, row_id, books_from)
            ahead = [each for each in found if edge is None or (each[0] >= edge) is newer]
            if ahead or newer:
                return ahead[:limit] if newer else ahead[: -limit - 1 : -1]
        if not books_from:
            return []
        return await stores.events.page(source, edge=books_from if edge is None else min(edge, books_from), limit=limit)

    return Feed(read=read, at_ms=base.at_ms, place=base.place, bottom=base.bottom, above=base.above)


async def _in_books(stores: Stores, source: SourceUid, row_id: int, books_from: int) -> list[tuple[int, StoredEvent]]:
    """The events of a row that the relay keeps, ascending, as far as the books reach back."""
    revisions = await stores.books.revisions(source, [(space, row_id) for space in SPACES])
    numbers = {number for some in revisions.values() for number in some if number >= books_from}
    return sorted((await stores.events.read(source, numbers)).items())

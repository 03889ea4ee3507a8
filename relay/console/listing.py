"""Lists that a form filters: what was entered stays in the form and in the address, with what the API found wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from relay.console.api import Refused
from relay.console.forms import Entry
from relay.console.visits import Visit

MISTAKEN = (404, 422)
"""Statuses of an answer to a filter that names what does not exist, or that is malformed."""
NOTHING: Mapping[str, Any] = {"data": [], "iterator": None, "prevIterator": None, "done": True}


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list."""

    found: Mapping[str, Any]
    """The answer of the API. Empty, if it found something wrong with the filter."""
    entry: Entry
    at: str
    """The address with the filter, for links to the pages before and after."""
    status: int

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        return "?" in self.at


async def listed(
    visit: Visit, *operation: str, chosen: Mapping[str, str | None], limit: int, iterator: str | None
) -> Listing:
    """A page of an operation's list. `chosen`: its filters, by the names of its parameters. Raises Refused."""
    at = with_query(visit.request.url.path, chosen)
    try:
        found = await visit.api.get(*operation, limit=limit, iterator=iterator, **chosen)
    except Refused as refused:
        if refused.status not in MISTAKEN:
            raise
        return Listing(NOTHING, Entry(chosen, refused), at, refused.status)
    return Listing(found, Entry(chosen), at, 200)


def with_query(path: str, chosen: Mapping[str, str | None]) -> str:
    """An address with what was chosen.

    >>> with_query("/console/sources", {"find": "uk", "behind": None}), with_query("/console/sources", {})
    ('/console/sources?find=uk', '/console/sources')
    """
    query = urlencode({name: value for name, value in chosen.items() if value})
    return path + (f"?{query}" if query else "")

"""Why an endpoint does not want an event: what somebody has to look at who misses it there."""

from typing import Literal

from msgspec import structs

from relay.domain.envelope import data_of, type_names
from relay.domain.matching import wants
from relay.domain.model import Application, Endpoint, StoredEvent
from relay.domain.posting import wants_post

Setting = Literal["eventTypes", "channels", "filter"]


def unwanted_by(application: Application, endpoint: Endpoint, event: StoredEvent) -> Setting | None:
    """The setting because of which an endpoint does not want an event; None: it wants it.

    `filter` stands for the filter of the application as well. Raises Invalid if a filter is none.
    """
    if endpoint.event_types is not None and set(endpoint.event_types).isdisjoint(type_names(event)):
        return "eventTypes"
    data = data_of(event)
    if event.post is None:
        return None if wants(application, endpoint, event.types, data) else "filter"
    if not wants_post(structs.replace(endpoint, channels=None), event.post, data):
        return "filter"
    return None if wants_post(endpoint, event.post, data) else "channels"

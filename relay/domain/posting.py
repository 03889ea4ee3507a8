"""Which endpoints of an application get an event that was posted to it: by its type, its channels and their filters.

The filter of the application has no say: it tells which rows are the application's, and a post is its own.
"""

from collections.abc import Collection, Iterable

from msgspec import structs

from relay.domain.filtering import Data
from relay.domain.matching import Match, Matcher, compiled
from relay.domain.model import Application, Endpoint, EndpointId
from relay.domain.post import Post

_OTHER = ""
"""Stands for all types that no endpoint names. No type has this name."""


class PostMatcher:
    """The subscriptions to the posts of one application. It never changes."""

    def __init__(
        self, application: Application, endpoints: Iterable[Endpoint], *, unfit: Collection[EndpointId] = ()
    ) -> None:
        """`unfit`: endpoints that match by type and channels alone, see `Matcher.unchecked`."""
        self._application = structs.replace(application, filter=None)
        self._endpoints = [endpoint for endpoint in endpoints if endpoint.app_id == application.id]
        self._channels = {endpoint.id: endpoint.channels for endpoint in self._endpoints}
        self._named = {name for endpoint in self._endpoints for name in endpoint.event_types or ()}
        self._unfit = unfit
        self._of_type: dict[str, Matcher] = {}

    def of_type(self, event_type: str) -> Matcher:
        """Matches events of one type, whatever their channels. It takes them as if they had all types."""
        key = event_type if event_type in self._named else _OTHER
        if key not in self._of_type:
            fitting = (each for each in self._endpoints if each.event_types is None or key in each.event_types)
            subscribed = [structs.replace(each, event_types=None) for each in fitting]
            self._of_type[key] = Matcher([self._application], subscribed, unfit=self._unfit)
        return self._of_type[key]

    def heard(self, matches: Iterable[Match], post: Post) -> list[EndpointId]:
        """Those of the endpoints that listen to one of the event's channels."""
        return [endpoint for endpoint, _ in matches if _hears(self._channels[endpoint], post)]


def wants_post(endpoint: Endpoint, post: Post, data: Data) -> bool:
    """Whether an endpoint gets a posted event, asked by itself. Raises Invalid if its filter is none."""
    if endpoint.event_types is not None and post.event_type not in endpoint.event_types:
        return False
    passes = compiled(endpoint.filter)
    return _hears(endpoint.channels, post) and (passes is None or passes.test(data))


def _hears(channels: tuple[str, ...] | None, post: Post) -> bool:
    """As in Svix: an endpoint without channels gets every event, one with channels none that has no channel."""
    return not channels or not set(channels).isdisjoint(post.channels or ())

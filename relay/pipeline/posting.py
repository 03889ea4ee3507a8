"""Posting: an event of a customer's own is matched and appended to its application's posts, before it is answered."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import structs

from relay.domain.envelope import posted_data
from relay.domain.event_types import POSTED
from relay.domain.matching import Pace
from relay.domain.model import Application, EndpointId, MessageId, StoredEvent
from relay.domain.post import Post
from relay.domain.posting import PostMatcher
from relay.errors import StaleSubscriptions, StoreFull
from relay.observability.spans import Spans
from relay.pipeline.clock import Clock
from relay.pipeline.matched import match_in_turns
from relay.pipeline.pressure import BACKLOG, FULL, MEMORY
from relay.store.applications import Applications
from relay.store.operations import Operations
from relay.store.posts import Posts, Taken

TRIES = 5
"""How often an event is matched, if endpoints change all the time."""
_FULL = {
    MEMORY: "Redis is nearly full: post the message again later (see store.full in GET /api/v1/operational-event)",
    BACKLOG: "too many deliveries wait: post the message again later "
    "(see backlog.full in GET /api/v1/operational-event)",
}


class Subscriptions(Protocol):
    """A mirror of the configuration, or of as much of it as posts of some applications need."""

    version: int

    async def is_stale(self) -> bool:
        """Whether the configuration has another version."""

    async def refresh(self) -> None:
        """Read what changed."""

    def post_matcher(self, application: Application) -> PostMatcher:
        """Which of an application's endpoints want which of its posts."""


class Posting:
    """Takes posts in."""

    def __init__(
        self,
        *,
        posts: Posts,
        applications: Applications,
        catalogue: Subscriptions,
        operations: Operations,
        clock: Clock,
        spans: Spans | None = None,
    ) -> None:
        """`catalogue` is brought up to date with each post."""
        self._spans = spans
        self._posts = posts
        self._applications = applications
        self._catalogue = catalogue
        self._operations = operations
        self._clock = clock

    async def post(
        self,
        application: Application,
        message: MessageId,
        post: Post,
        payload: bytes,
        *,
        only: EndpointId | None = None,
        is_urgent: bool = False,
    ) -> StoredEvent:
        """Take an event in; gives it as it is kept, which may be since the same request was made before.

        `payload` is a JSON object. `only` is the endpoint that gets it, whatever it subscribed to; None: all that want
        it. An urgent event is also taken while the store is nearly full. Raises Taken, NotFound if the application was
        deleted, StoreFull or StoreUnavailable. Unless it gives an event, nothing was changed, but if the store did not
        answer.
        """
        if not is_urgent:
            await self._check_room()
        if not application.posts:
            # Before the first event: workers follow the stream from now on.
            await self._applications.change(application.id, lambda each: structs.replace(each, posts=True))
        now_ms = self._clock.now_ms()
        event = StoredEvent(
            id=message, row_id="", stored_at_ms=now_ms, revision=1, types=bytes((POSTED,)), body=payload, post=post
        )
        try:
            await self._append(application, event, post, now_ms, only)
        except Taken as taken:
            if post.request and taken.event and taken.event.post and taken.event.post.request == post.request:
                return taken.event
            raise
        if self._spans is not None:
            ids = {"relay.app": application.id}
            self._spans.stored(message, "post", ids, began_ms=now_ms, ended_ms=self._clock.now_ms())
        return event

    async def _append(
        self, application: Application, event: StoredEvent, post: Post, now_ms: int, only: EndpointId | None
    ) -> None:
        for tried in range(TRIES):
            if await self._catalogue.is_stale():
                await self._catalogue.refresh()
            version = self._catalogue.version
            if only is None:
                endpoints, unchecked = await self._matched(application, event, post)
            else:
                endpoints, unchecked = [only], frozenset[EndpointId]()
            try:
                await self._posts.append(
                    application.id, event, endpoints, unchecked=unchecked, version=version, now_ms=now_ms
                )
            except StaleSubscriptions:
                if tried == TRIES - 1:
                    raise
            else:
                return

    async def _matched(
        self, application: Application, event: StoredEvent, post: Post
    ) -> tuple[Sequence[EndpointId], frozenset[EndpointId]]:
        """The endpoints that get an event, and those whose filters were not asked."""
        subscriptions = self._catalogue.post_matcher(application)
        matcher = subscriptions.of_type(post.event_type)
        matches = await match_in_turns(matcher, event.types, posted_data(event.body), Pace())
        return subscriptions.heard(matches, post), matcher.unchecked

    async def _check_room(self) -> None:
        for condition in await self._operations.holding(FULL, list(_FULL)):
            raise StoreFull(_FULL[condition])

"""Posts: the events of an application that its owner posts. One step appends each with all of its deliveries."""

from collections.abc import Collection, Sequence

from redis.asyncio import Redis

from relay.domain.books import State
from relay.domain.event_types import POSTED
from relay.domain.model import ApplicationId, EndpointId, StoredEvent
from relay.domain.references import CHECKED, UNCHECKED, tag_of
from relay.domain.streams import posts_of
from relay.errors import Conflict, NotFound, StaleSubscriptions
from relay.store import book_keys, keys
from relay.store.events import Events, pack_event, shard_of
from relay.store.scripts import script


class Taken(Conflict):
    """An event with this id is kept. `event` is that one, unless it can't be read."""

    def __init__(self, event: StoredEvent | None) -> None:
        super().__init__("the application has a message with this eventId already")
        self.event = event


class Posts:
    """The posts of all applications."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = Events(redis)

    async def append(
        self,
        application: ApplicationId,
        event: StoredEvent,
        endpoints: Sequence[EndpointId],
        *,
        unchecked: Collection[EndpointId] = frozenset(),
        version: int,
        now_ms: int,
    ) -> None:
        """Append an event with a delivery for each endpoint, all of it or nothing.

        `unchecked` are endpoints whose filters were not asked, `version` is that of the configuration that was matched.
        Raises Taken, StaleSubscriptions when the event must be matched again, NotFound when the application was
        deleted, or StoreUnavailable.
        """
        stream, (shard, field) = posts_of(application), shard_of(event.id)
        unasked = [endpoint for endpoint in endpoints if endpoint in unchecked]
        asked = [endpoint for endpoint in endpoints if endpoint not in unchecked]
        args = [
            keys.prefix(stream), version, now_ms, keys.WAKE_CHANNEL, stream, field, pack_event(event),
            f":{POSTED}:{tag_of(event.id)}", keys.EVENTS_PER_BUCKET, int(State.WAITING),
            len(unasked), UNCHECKED, CHECKED, *unasked, *asked,
        ]  # fmt: skip
        single = (keys.fence, keys.subscriptions, keys.lanes, keys.ready, keys.references, keys.owed, keys.sequence)
        books = (book_keys.book_blocks, book_keys.book_sizes)
        names = [key(stream) for key in (*single, *books)]
        said, *rest = await script("append_post")(self._redis, [*names, keys.message_ids(stream, shard)], args)
        if said == b"taken":
            number = int(rest[0])
            raise Taken((await self._events.read(stream, [number])).get(number))
        if said == b"stale":
            raise StaleSubscriptions(f"the endpoints of application {application} changed")
        if said == b"closed":
            raise NotFound(f"application {application} was deleted")

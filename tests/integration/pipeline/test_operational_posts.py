"""Operational events become posts of the operator's application: each once, in order, none about its own endpoints."""

import asyncio

import msgspec
import pytest

from relay.domain.model import Application, Endpoint, StoredEvent
from relay.domain.streams import posts_of
from relay.errors import StoreFull
from relay.pipeline import operational_posts as module
from relay.pipeline.disabling import Disabling
from relay.pipeline.operational_posts import OperationalPosts
from relay.pipeline.posting import Posting
from relay.pipeline.pressure import FULL, MEMORY
from relay.store import keys
from relay.store.events import Events
from relay.store.operations import Operations
from relay.store.posts import Posts
from tests.integration.pipeline.rig import Rig


class DiesError(Exception):
    """The process ends here."""


class DyingOperations(Operations):
    """A process that ends after the append, before it writes the place down."""

    async def set_posted(self, position: str) -> None:
        raise DiesError


def mover(rig: Rig, operations: Operations | None = None) -> OperationalPosts:
    """What a worker has of it."""
    log = operations or rig.operations
    posting = Posting(
        posts=Posts(rig.redis), applications=rig.applications, catalogue=rig.catalogue, operations=log, clock=rig.clock
    )
    return OperationalPosts(log, rig.applications, posting)


async def listener(rig: Rig) -> tuple[Application, Endpoint]:
    """The operator's application, and an endpoint of it."""
    application = await rig.application()
    return application, await rig.endpoint(application)


async def posts(rig: Rig, application: Application) -> list[StoredEvent]:
    """All posts of an application, oldest first."""
    found = await Events(rig.eyes).read(posts_of(application.id), range(1, 20))
    return [found[number] for number in sorted(found)]


async def waiting(rig: Rig, application: Application, endpoint: Endpoint) -> int:
    """How many callbacks wait for an endpoint."""
    return int(await rig.eyes.llen(keys.lane(posts_of(application.id), endpoint.id)))  # type: ignore[misc]


async def note(rig: Rig, *kinds: str, **data: str) -> None:
    for kind in kinds:
        await rig.operations.note(kind, data, now_ms=rig.clock.at_ms)


async def test_a_disabled_endpoint_is_a_callback_for_the_operator(rig: Rig) -> None:
    """With what the log says, under the entry's position as its eventId."""
    application, own = await listener(rig)
    gone = await rig.endpoint()
    await Disabling(rig.endpoints, rig.clock)(gone, "410")
    await mover(rig).post(application.id)
    (event,) = await posts(rig, application)
    (entry,) = await rig.operations.page(limit=9)
    assert event.post is not None
    assert (event.post.event_type, event.post.event_id) == ("endpoint.disabled", entry.position)
    told = msgspec.json.decode(event.body)
    assert (told["type"], told["data"]) == ("endpoint.disabled", entry.data)
    assert told["data"]["endpointId"] == gone.id
    assert await waiting(rig, application, own) == 1


async def test_a_crash_before_the_place_is_written_repeats_nothing(rig: Rig) -> None:
    """The next round finds the post by its id, and goes on."""
    application, own = await listener(rig)
    await note(rig, "store.full", "store.recovered")
    with pytest.raises(DiesError):
        await mover(rig, DyingOperations(rig.redis)).post(application.id)
    assert await rig.operations.posted() is None
    assert await mover(rig).post(application.id) == 2
    assert [each.post and each.post.event_type for each in await posts(rig, application)] == [
        "store.full", "store.recovered",
    ]  # fmt: skip
    assert await waiting(rig, application, own) == 2
    assert await mover(rig).post(application.id) == 0


async def test_two_workers_at_once_post_each_event_once(rig: Rig) -> None:
    application, own = await listener(rig)
    await note(rig, *(f"a.b{n}" for n in range(9)))
    await asyncio.gather(mover(rig).post(application.id), mover(rig).post(application.id))
    assert len(await posts(rig, application)) == await waiting(rig, application, own) == 9


async def test_events_about_the_operators_own_endpoints_are_not_sent(rig: Rig) -> None:
    """They stay in the log, and the place goes past them."""
    application, own = await listener(rig)
    await note(rig, "endpoint.disabled", appId=application.id, endpointId=own.id)
    assert await mover(rig).post(application.id) == 1
    assert await posts(rig, application) == []
    assert len(await rig.operations.page(limit=9)) == 1
    assert await mover(rig).post(application.id) == 0


async def test_what_was_noted_while_the_store_was_full_is_posted_afterwards(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is passed over, and a long log takes more than one round."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    application, _ = await listener(rig)
    await rig.operations.note("store.full", {}, now_ms=1, condition=(MEMORY, FULL))
    with pytest.raises(StoreFull):
        await mover(rig).post(application.id)
    await rig.operations.note("store.recovered", {}, now_ms=2, condition=(MEMORY, "well"))
    await note(rig, "route.stopped")
    assert [await mover(rig).post(application.id) for _ in range(3)] == [2, 1, 0]
    assert len(await posts(rig, application)) == 3

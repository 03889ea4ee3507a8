"""The tail: attempts as they end, as a stream of events that a browser or a terminal shows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.openapi import ResponseSpec
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from relay.api.access import Reach, needs, own_application
from relay.api.auth import Authentication
from relay.api.dependencies import ClockGiven, PrincipalGiven, StoresGiven
from relay.api.queries import split
from relay.api.schemas.common import moment
from relay.api.schemas.tail import (
    ENDINGS,
    End,
    TailEndOut,
    TailHeartbeatOut,
    TailLostOut,
    TailOut,
    TailStartOut,
    show_entry,
    written,
)
from relay.domain.event_types import CLASSES, mask_of
from relay.domain.model import EndpointId, SourceUid
from relay.domain.names import NAME, SOURCE_UID_MOST, UID_MOST
from relay.domain.principals import Principal, Resource
from relay.domain.tail import Interest
from relay.errors import Fault, Invalid, NotFound, StoreUnavailable, Unauthorized
from relay.pipeline.clock import Clock
from relay.pipeline.listening import Listener, Listening
from relay.wiring import Stores

EVENTS = "text/event-stream"
LONGEST_S = 3600
HEARTBEAT_S = 5.0
LOOK_S = 0.5
"""How soon a tail ends that has to."""
CHECK_S = 2.0
"""How often the key is read again."""
SEVERAL = "Repeat the parameter, or separate the words with commas"
CLASSES_TEXT = f"Only attempts for rows with one of these classes, such as `goal`. {SEVERAL}"
OUTCOMES_TEXT = f"Only attempts with one of these outcomes: {', '.join(f'`{each}`' for each in ENDINGS)}. {SEVERAL}"

Ends = Callable[[], Awaitable[End | None]]
"""Whether the tail has to end, and why."""
Uid = Annotated[str | None, QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME)]


@get(
    "/tail",
    tags=["statistics"],
    summary="Follow attempts live",
    opt=needs(Resource.ATTEMPT, Reach.EVERY),
    responses={200: ResponseSpec(str, media_type=EVENTS, description="Events", generate_examples=False)},
)
async def tail(
    request: Request[Any, Any, Any],
    principal: PrincipalGiven,
    stores: StoresGiven,
    clock: ClockGiven,
    source: Annotated[str | None, QueryParameter(min_length=1, max_length=SOURCE_UID_MOST, pattern=NAME)] = None,
    app: Uid = None,
    endpoint: Uid = None,
    event_types: FromQuery[list[str] | None] = None,
    classes: Annotated[
        list[str] | None,
        QueryParameter(description=CLASSES_TEXT),
    ] = None,
    outcomes: Annotated[
        list[str] | None,
        QueryParameter(description=OUTCOMES_TEXT),
    ] = None,
    seconds: Annotated[
        int, QueryParameter(ge=1, le=LONGEST_S, description="After how many seconds the relay ends the stream")
    ] = LONGEST_S,
) -> Response[TailOut]:
    """Follow attempts as they end, as Server-Sent Events: `start`, `attempt`, `lost`, `heartbeat` and `end`.

    The schema describes the JSON in the `data` of each event. `heartbeat` comes every 5 s. The tail has no history:
    `Last-Event-ID` has no effect, and the lists of attempts have earlier ones. A reader that is too slow gets
    `lost` with the number of attempts that it missed. One API key can have 10 tails at once, and one application 20.
    """
    interest = Interest(
        source=SourceUid(source) if source else None,
        app=(await own_application(principal, named, stores)).id if (named := app or principal.application) else None,
        endpoint=EndpointId(endpoint) if endpoint else None,
        event_types=split(event_types),
        classes=mask_of(tuple(_known("classes", classes, CLASSES))),
        endings=_known("outcomes", outcomes, ENDINGS),
    )
    listening: Listening = request.app.state.listening
    listener = await listening.listen(principal, interest)
    ends = _ends(request, principal, stores, clock, seconds=seconds)
    return Stream(  # type: ignore[return-value]
        _events(listening, listener, clock, ends), media_type=EVENTS, headers={"x-accel-buffering": "no"}
    )


def _known(name: str, given: Iterable[str] | None, words: Iterable[str]) -> frozenset[str]:
    """The words of a parameter. Raises Invalid for one that means nothing."""
    found = split(given)
    if strange := found - set(words):
        said = f"{min(strange)!r} is none of {', '.join(words)}"
        raise Invalid(Fault(("query", name), said))
    return found


async def _events(listening: Listening, listener: Listener, clock: Clock, ends: Ends) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    next_beat, next_look = loop.time() + HEARTBEAT_S, 0.0
    try:
        yield written(TailStartOut(at=moment(clock.now_ms())))
        while True:
            if loop.time() >= next_look:
                next_look = loop.time() + LOOK_S
                if reason := await ends():
                    yield written(TailEndOut(reason=reason))
                    return
            await listener.wait(max(0.0, next_look - loop.time()))
            if shown := _taken(listener):
                yield shown
            if loop.time() >= next_beat:
                next_beat = loop.time() + HEARTBEAT_S
                yield written(TailHeartbeatOut(at=moment(clock.now_ms())))
    finally:
        listening.leave(listener)


def _taken(listener: Listener) -> bytes:
    """All that waits for a reader, as it is sent."""
    entries, lost = listener.take()
    said = [written(TailLostOut(attempts=lost))] if lost != 0 else []
    return b"".join([*said, *(written(show_entry(each)) for each in entries)])


def _ends(request: Request[Any, Any, Any], principal: Principal, stores: Stores, clock: Clock, *, seconds: int) -> Ends:
    authentication: Authentication = request.app.state.authentication
    header, loop = request.headers.get("authorization", ""), asyncio.get_running_loop()
    last, next_check = loop.time() + seconds, loop.time() + CHECK_S

    async def ends() -> End | None:
        nonlocal next_check
        if request.app.state.leaves():
            return "shutdown"
        if loop.time() >= next_check:
            next_check = loop.time() + CHECK_S
            if not await _still(header, authentication, principal, stores, clock):
                return "key"
        return "time" if loop.time() >= last else None

    return ends


async def _still(
    header: str, authentication: Authentication, principal: Principal, stores: Stores, clock: Clock
) -> bool:
    """Whether the key still has what the tail requires. While the store is unavailable, nothing is shown either."""
    try:
        now = await authentication.principal(header, stores.api_keys, stores.portal, now_ms=clock.now_ms())
        if now.application is not None:
            await stores.applications.get(now.application)
    except (Unauthorized, NotFound):
        return False
    except StoreUnavailable:
        return True
    return now.may(f"{Resource.ATTEMPT}:read") and now.application == principal.application

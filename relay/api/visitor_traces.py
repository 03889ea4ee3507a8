"""The touch points of a message's visitor: with an API key, or by a signed link that an event carries."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, StoresGiven
from relay.api.error_responses import TRACES
from relay.api.parameters import check_parameters
from relay.api.schemas.common import Out
from relay.api.visibility import find_event, passes_of
from relay.domain import envelope, json_text
from relay.domain.envelope import is_expunged
from relay.domain.links import PURPOSE, is_signed, trace_text
from relay.domain.model import Application
from relay.domain.principals import Resource
from relay.domain.privacy import Privacy, protect_data
from relay.domain.readers import privacy_of
from relay.domain.tracing import Trace, visitor_of
from relay.errors import NotFound, Unauthorized
from relay.pipeline.tracing import Tracing
from relay.wiring import Stores


class TouchPointOut(Out, frozen=True, kw_only=True):
    """A touch point: a landing, a call or a goal of the visitor."""

    source: str
    """The uid of the source."""
    row_id: str
    """The rowId of its row."""
    classes: list[str]
    """What the row is, such as `visit` or `call`."""
    trigger: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
    """The row as Infinity shows it now, with the types that rows of messages have. Privacy rules apply."""


class VisitorTraceOut(Out, frozen=True, kw_only=True):
    """What a visitor did up to the row of a message."""

    data: list[TouchPointOut]
    """The touch points that the application may see, oldest first. The last one is the row of the message, if it is a
    touch point."""
    complete: bool
    """Whether the relay looked at everything that Infinity still has of the visitor. `false`: the visitor has more than
    the 1,000 rows that the relay looked at, or the answer was cut, so older touch points may be missing."""


@get(
    "/app/{app_id:str}/msg/{msg_id:str}/visitor-trace",
    tags=[TRACES],
    summary="Get a visitor's touch points",
    opt=needs(Resource.MESSAGE),
)
async def visitor_trace(
    application: ApplicationGiven, msg_id: FromPath[str], stores: StoresGiven, request: Request[Any, Any, Any]
) -> VisitorTraceOut:
    """Get what the visitor of a message did before: landings, calls and goals, up to the row of the message.

    The relay asks Infinity, and keeps nothing of the answer. The filter and the privacy rules of the application apply
    to each row.

    404: the row has no visitor, a privacy rule masks or drops `vid`, or Infinity has no trace. 429: too many requests
    wait for the same source. 502: Infinity refuses or fails. 504: it does not answer in time.
    """
    return await _traced(application, msg_id, privacy_of(application), stores, request)


@get(
    "/visitor-trace/{app_id:str}/{endpoint_id:str}/{msg_id:str}",
    tags=[TRACES],
    summary="Get a visitor's touch points by a link",
    security=[],
    guards=[check_parameters],
)
async def linked_visitor_trace(
    app_id: FromPath[str],
    endpoint_id: FromPath[str],
    msg_id: FromPath[str],
    stores: StoresGiven,
    clock: ClockGiven,
    request: Request[Any, Any, Any],
    expires: Annotated[
        int, QueryParameter(ge=0, le=10**12, description="When the link stops working, in Unix seconds")
    ],
    signature: Annotated[str, QueryParameter(max_length=64, description="The signature of the link")],
) -> VisitorTraceOut:
    """Get what the visitor of a message did before, by the link `visitorTraceUrl` of an event.

    The privacy rules of the application and of the endpoint apply. The link ends with the application, with the
    endpoint, and when the endpoint no longer includes `visitorTraceUrl`.
    """
    text = trace_text(app_id, endpoint_id, msg_id, expires)
    if not is_signed(stores.vault.derived(PURPOSE), text, signature) or expires * 1000 <= clock.now_ms():
        raise Unauthorized("this link has expired, or was not created by this relay: ask with an API key instead")
    application = await stores.applications.get(app_id)
    endpoint = await stores.endpoints.get(application.id, endpoint_id)
    if "visitorTraceUrl" not in endpoint.include:
        raise NotFound(f"endpoint {endpoint.id} does not include `visitorTraceUrl` any more")
    return await _traced(application, msg_id, privacy_of(application, endpoint), stores, request)


async def _traced(
    application: Application, message: str, privacy: Privacy, stores: Stores, request: Request[Any, Any, Any]
) -> VisitorTraceOut:
    item = await find_event(application, message, stores)
    event = item.value
    if is_expunged(event):
        raise NotFound(f"the content of message {message} was expunged, and its visitor is not shown either")
    data = {} if event.post is not None else envelope.decode(event.body)
    visitor = visitor_of(data.get("trigger", {}), privacy.rules)
    if visitor is None:
        raise NotFound(f"message {message} has no visitor, or a privacy rule hides its column `vid`")
    tracing: Tracing = request.app.state.tracing
    source = await stores.sources.get(item.source)
    trace = await tracing.trace(source, visitor, until=int(event.row_id), passes=passes_of(application))
    return _show(trace, privacy)


def _show(trace: Trace, privacy: Privacy) -> VisitorTraceOut:
    shown = (protect_data(each, privacy) for each in trace.touch_points)
    return VisitorTraceOut(
        data=[
            TouchPointOut(
                source=each["source"],
                row_id=each["rowId"],
                classes=each["classes"],
                trigger=msgspec.Raw(json_text.encode(each["trigger"])),
            )
            for each in shown
        ],
        complete=trace.complete,
    )

"""The messages of an application, and the page of one: why it has its classes, and what became of it."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused, together
from relay.console.pages.applications import AT
from relay.console.pages.signing_in import VisitGiven
from relay.console.words import segment


@get("/applications/{app:str}/messages")
async def list_messages(
    visit: VisitGiven,
    app: FromPath[str],
    iterator: FromQuery[str | None] = None,
    event_type: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The newest messages of an application, of one event type or of all."""
    application, messages, types = await together(
        visit.api.get("app", app),
        visit.api.get("app", app, "msg", limit=50, iterator=iterator, event_types=event_type or None),
        visit.api.get("event-type", limit=250),
        needed=(0,),
    )
    names = [] if isinstance(types, Refused) else [each["name"] for each in types["data"]]
    return visit.page(
        "messages.html", application=application, messages=messages, event_type=event_type or "", event_types=names
    )


@get("/applications/{app:str}/messages/{msg:str}")
async def message_page(visit: VisitGiven, app: FromPath[str], msg: FromPath[str]) -> Response[bytes]:
    """One message."""
    api = visit.api
    application, message, explanation, attempts = await together(
        api.get("app", app),
        api.get("app", app, "msg", msg),
        api.get("app", app, "msg", msg, "explanation"),
        api.get("app", app, "attempt", "msg", msg, limit=50),
        needed=(1,),
    )
    return visit.page(
        "message.html",
        application=application,
        message=message,
        explanation=explanation,
        attempts=attempts,
        names=_names(explanation),
        base=f"{AT}/{segment(app)}",
    )


@post("/applications/{app:str}/messages/{msg:str}/endpoints/{endpoint:str}/resend")
async def resend_message(
    visit: VisitGiven, app: FromPath[str], msg: FromPath[str], endpoint: FromPath[str]
) -> Response[bytes]:
    """Send the message to an endpoint again."""
    return await visit.act(
        "POST", "app", app, "msg", msg, "endpoint", endpoint, "resend",
        to=message_at(app, msg), done="The message is on its way. Its attempt appears below.",
    )  # fmt: skip


def message_at(app: str, msg: str) -> str:
    """The address of the page of a message."""
    return f"{AT}/{segment(app)}/messages/{segment(msg)}"


def _names(explanation: Any) -> dict[str, str]:
    """What endpoints are called, by id."""
    if isinstance(explanation, Refused):
        return {}
    return {each["endpointId"]: each["endpointUid"] or each["endpointId"] for each in explanation["deliveries"]}

"""The messages of an application, and the page of one: why it has its classes, and what became of it."""

from collections import Counter
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused, together
from relay.console.listing import listed
from relay.console.pages.applications import AT
from relay.console.pages.signing_in import VisitGiven
from relay.console.words import segment

ORDER = ("dead", "dropped", "waiting", "confirmed")
SETTLED = ("confirmed", "unwanted", "none")
LISTED_MOST = 10
"""If a message has more deliveries, those that are settled are folded."""


@get("/applications/{app:str}/messages")
async def list_messages(
    visit: VisitGiven,
    app: FromPath[str],
    iterator: FromQuery[str | None] = None,
    event_types: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
    row_id: FromQuery[str | None] = None,
    find: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The newest messages of an application, by type, time, source and row. `find`: lead to the message of this id."""
    if find:
        return visit.redirect(message_at(app, find.strip()))
    chosen = {"event_types": event_types, "after": after, "before": before, "source": source, "row_id": row_id}
    chosen = {name: value and value.strip() for name, value in chosen.items()}
    application, listing, types = await together(
        visit.api.get("app", app),
        listed(visit, "app", app, "msg", chosen=chosen, limit=50, iterator=iterator),
        visit.api.get("event-type", limit=250),
        needed=(0,),
    )
    return visit.page(
        "messages.html",
        application=application,
        listing=listing,
        event_types=[] if isinstance(types, Refused) else [each["name"] for each in types["data"]],
    )


@get("/applications/{app:str}/messages/{msg:str}")
async def message_page(visit: VisitGiven, app: FromPath[str], msg: FromPath[str]) -> Response[bytes]:
    """One message."""
    api = visit.api
    application, message, explanation, attempts, endpoints = await together(
        api.get("app", app),
        api.get("app", app, "msg", msg),
        api.get("app", app, "msg", msg, "explanation"),
        api.get("app", app, "attempt", "msg", msg, limit=50),
        api.get("app", app, "endpoint", limit=250),
        needed=(1,),
    )
    deliveries = [] if isinstance(explanation, Refused) else _worst_first(explanation["deliveries"])
    settled = [each for each in deliveries if each["state"] in SETTLED] if len(deliveries) > LISTED_MOST else []
    return visit.page(
        "message.html",
        application=application,
        message=message,
        explanation=explanation,
        attempts=attempts,
        deliveries=[each for each in deliveries if each not in settled],
        settled=settled,
        settled_by_state=Counter(each["state"] for each in settled),
        names=_names(deliveries, endpoints),
        base=f"{AT}/{segment(app)}",
    )


@post("/applications/{app:str}/messages/{msg:str}/endpoints/{endpoint:str}/resend")
async def resend_message(
    visit: VisitGiven, app: FromPath[str], msg: FromPath[str], endpoint: FromPath[str]
) -> Response[bytes]:
    """Send the message to an endpoint again. The form says which page it is on."""
    return await visit.act(
        "POST", "app", app, "msg", msg, "endpoint", endpoint, "resend",
        to=visit.back(message_at(app, msg)), done="The message is on its way. Its attempt appears below.",
    )  # fmt: skip


def message_at(app: str, msg: str) -> str:
    """The address of the page of a message."""
    return f"{AT}/{segment(app)}/messages/{segment(msg)}"


def _worst_first(deliveries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Deliveries that need a look, then those that wait, then all others."""

    def place(each: dict[str, Any]) -> int:
        return ORDER.index(each["state"]) if each["state"] in ORDER else len(ORDER)

    return sorted(deliveries, key=place)


def _names(deliveries: list[dict[str, Any]], endpoints: Any) -> dict[str, str]:
    """What endpoints are called, by id: by their uid, or their description, or their id."""
    listed = [] if isinstance(endpoints, Refused) else endpoints["data"]
    descriptions = {each["id"]: each["description"] for each in listed}
    ids = ((each["endpointId"], each["endpointUid"]) for each in deliveries)
    return {one: uid or descriptions.get(one) or one for one, uid in ids}

"""Why a message has its classes, its row as people read it, and what became of it at each endpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import get
from litestar.params import FromPath

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, StoresGiven
from relay.api.schemas.common import moment_or_none
from relay.api.schemas.explanations import (
    ClassOut,
    ColumnOut,
    Delivery,
    DestinationStateOut,
    ExplanationOut,
    GroupOut,
    ReasonOut,
)
from relay.api.visibility import EventItem, attempts_of, find_event
from relay.domain import envelope
from relay.domain.books import State
from relay.domain.classifying import Rule, explain
from relay.domain.column_groups import grouped
from relay.domain.event_types import CLASSES, EVENT_TYPES, is_charge
from relay.domain.model import Application, Attempt, StoredEvent
from relay.domain.principals import Resource
from relay.domain.privacy import Privacy, protect_data
from relay.domain.readers import privacy_of
from relay.domain.streams import are_posts
from relay.wiring import Stores

ENDPOINTS_MOST = 200
STATES: Mapping[State, Delivery] = {
    State.NOT_OWED: "none",
    State.REPLACED: "none",
    State.WAITING: "waiting",
    State.CONFIRMED: "confirmed",
    State.UNWANTED: "unwanted",
    State.DEAD: "dead",
    State.DROPPED_FULL: "dropped",
    State.DROPPED_OLD: "dropped",
    State.FORGOTTEN: "dropped",
}


@get(
    "/app/{app_id:str}/msg/{msg_id:str}/explanation",
    tags=["message"],
    summary="Explain a message",
    opt=needs(Resource.MESSAGE),
)
async def explanation(application: ApplicationGiven, msg_id: FromPath[str], stores: StoresGiven) -> ExplanationOut:
    """Get the rules and columns that gave a row its classes, its columns by groups, and the state of each delivery.

    The classes are those of the message. The rules are those of this release, applied to the row of the message.
    """
    item = await find_event(application, msg_id, stores)
    event, privacy = item.value, privacy_of(application)
    row, shown, previous = _row(event, privacy)
    return ExplanationOut(
        msg_id=event.id,
        source=None if are_posts(item.source) else item.source,
        row_id=None if event.post else event.row_id,
        revision=event.revision,
        classes=[] if event.post else _classes(event, row, shown),
        groups=[GroupOut(name=name, columns=_columns(columns)) for name, columns in grouped(shown)],
        previous=_columns(previous),
        deliveries=await _deliveries(item, application, stores),
    )


def _row(event: StoredEvent, privacy: Privacy) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The row, the row as the application may see it, and the old values of what changed."""
    if event.post is not None or envelope.is_expunged(event):
        return {}, {}, {}
    data = envelope.decode(event.body)
    shown = protect_data(data, privacy)
    return data["trigger"], shown["trigger"], shown.get("previous") or {}


def _classes(event: StoredEvent, row: dict[str, Any], shown: Mapping[str, Any]) -> list[ClassOut]:
    rules = explain(row, route="itemisedCalls" if is_charge(event.types) else "") if row else []
    return [
        ClassOut(
            name=CLASSES[code // 2],
            event_type=EVENT_TYPES[code],
            reasons=[_reason(rule, shown) for rule in rules if rule.mask >> code // 2 & 1],
        )
        for code in event.types
    ]


def _reason(rule: Rule, shown: Mapping[str, Any]) -> ReasonOut:
    return ReasonOut(rule=rule.says, columns=_columns({name: shown[name] for name in rule.columns if name in shown}))


def _columns(columns: Mapping[str, Any]) -> list[ColumnOut]:
    return [ColumnOut(name=name, value=value) for name, value in columns.items()]


async def _deliveries(item: EventItem, application: Application, stores: Stores) -> list[DestinationStateOut]:
    ids = await stores.endpoints.ids(application.id, limit=ENDPOINTS_MOST)
    endpoints = await stores.endpoints.read(set(ids))
    states = await stores.books.states(item.source, [(each, item.place) for each in ids])
    tried: dict[str, list[Attempt]] = {}
    for attempt, endpoint in await attempts_of(item, application, stores):
        tried.setdefault(endpoint.id, []).append(attempt)
    return [
        DestinationStateOut(
            endpoint_id=each,
            endpoint_uid=endpoints[each].uid if each in endpoints else None,
            state=(state := STATES[states.get((each, item.place)) or State.NOT_OWED]),
            attempts=len(tried.get(each, ())),
            next_attempt=moment_or_none(_next_ms(tried.get(each, ())) if state == "waiting" else None),
        )
        for each in ids
    ]


def _next_ms(newest_first: Sequence[Attempt]) -> int | None:
    return (newest_first[0].next_at_ms or None) if newest_first else None

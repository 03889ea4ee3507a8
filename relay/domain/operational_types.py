"""The types of operational events, with a JSON Schema and an example of each.

A type that Svix has, has Svix's fields. Fields of the relay's own are added behind them. The schemas allow other
fields, so that a later release can add some.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from relay.domain.operational import EXHAUSTED, FAILING, RECOVERED, operational_body

AT_MS = 1_516_108_811_000
"""When the events of the examples happened."""

Schema = dict[str, Any]


class Field(msgspec.Struct, frozen=True):
    """A field of the data of an event."""

    description: str
    schema: Schema
    example: Any


class OperationalType(msgspec.Struct, frozen=True):
    """A type of operational events. All fields are required, but for those in `optional`."""

    description: str
    fields: tuple[str, ...]
    optional: tuple[str, ...] = ()


_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_COUNTS: Schema = {"type": "object", "additionalProperties": _COUNT}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_ATTEMPT: Schema = {
    "type": "object",
    "required": ["id", "responseStatusCode", "timestamp"],
    "properties": {
        "id": {"description": "The id of the attempt.", **_TEXT},
        "responseStatusCode": {"description": "The HTTP status of the answer; 0: there was none.", "type": "integer"},
        "timestamp": {"description": "When the attempt began.", **_TIME},
    },
}
_APP, _ENDPOINT = "app_1srOrx2ZWZBpBUvZwXKQmoEYga2", "ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"

FIELDS: Mapping[str, Field] = {
    "appId": Field("The id of the application.", _TEXT, _APP),
    "appUid": Field("The uid of the application. null: it has none, or was deleted.", _TEXT_OR_NULL, "crm"),
    "endpointId": Field("The id of the endpoint.", _TEXT, _ENDPOINT),
    "endpointUid": Field("The uid of the endpoint. null: it has none.", _TEXT_OR_NULL, "all"),
    "failSince": Field("Since when no callback succeeded. null: not known.", _TIME_OR_NULL, "2018-01-11T13:20:11.000Z"),
    "trigger": Field(
        "`automatic`: the relay disabled it. `manual`: somebody did, through the API.",
        {"enum": ["automatic", "manual"]},
        "automatic",
    ),
    "reason": Field("Why, in words.", _TEXT, "five days without one success"),
    "lastAttempt": Field(
        "The last attempt.",
        _ATTEMPT,
        {
            "id": "atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2",
            "responseStatusCode": 500,
            "timestamp": "2018-01-16T13:20:11.000Z",
        },
    ),
    "msgEventId": Field("The `eventId` of a posted message. null: it has none.", _TEXT_OR_NULL, None),
    "msgId": Field("The id of the message.", _TEXT, "msg_IUUKzAM5N8emmn870dUfmdtI"),
    "source": Field("The uid of the source.", _TEXT, "main"),
    "route": Field("The route of the source.", _TEXT, "all"),
    "cursor": Field("The rowId up to which the route was read.", {"type": ["integer", "null"]}, 141248745),
    "lastError": Field("The last error of the route. Empty or null: none.", _TEXT_OR_NULL, "the upstream answered 503"),
    "lines": Field("How many lines the relay keeps.", _COUNT, 4),
    "total": Field("How many different lines were ever set aside.", _COUNT, 4),
    "reading": Field("The name of the reading.", _TEXT, "change.604800"),
    "afterRowId": Field("The rows after this rowId are not read again.", _TEXT, "141240000"),
    "untilRowId": Field("The rows up to this rowId are not read again.", _TEXT, "141248745"),
    "reconciliationId": Field("The id of the reconciliation.", _TEXT, "rec_1srOrx2ZWZBpBUvZwXKQmoEYga2"),
    "scheduled": Field("Whether it ran by schedule.", {"type": "boolean"}, True),
    "missing": Field("Rows that Infinity shows and the relay lacks.", _COUNT, 1),
    "unexpected": Field("Rows that the relay has and Infinity does not show.", _COUNT, 1),
    "undelivered": Field("Deliveries that still wait.", _COUNT, 1),
    "dead": Field("Deliveries that were given up.", _COUNT, 1),
    "dropped": Field("Deliveries that were dropped.", _COUNT, 1),
    "repaired": Field("Differences that were repaired.", _COUNT, 3),
    "unrepaired": Field("Differences that could not be repaired.", _COUNT, 0),
    "givenUp": Field("Dropped deliveries that were given up before.", _COUNT, 0),
    "waiting": Field("Dropped deliveries that waited.", _COUNT, 1200),
    "tooOld": Field("Dropped deliveries that had waited too long.", _COUNT, 0),
    "bytes": Field("The size of their events in bytes.", _COUNT, 1048576),
    "usedBytes": Field("The memory that Redis uses, in bytes.", _COUNT, 858993459),
    "maxBytes": Field("The memory that Redis can use, in bytes.", _COUNT, 1073741824),
    "deliveries": Field("Deliveries that wait.", _COUNT, 5000001),
    "most": Field("The number of waiting deliveries at which polling stops.", _COUNT, 5000000),
    "ageSeconds": Field("The age of the checkpoint in seconds.", _COUNT, 900),
    "url": Field("Where the checkpoint is.", _TEXT, "s3://backups/relay"),
    "node": Field("The name of the machine.", _TEXT, "relay-worker-0"),
    "skewSeconds": Field("How far its clock is ahead of that of Redis, in seconds.", {"type": "integer"}, 45),
    "takenAtMs": Field("When the checkpoint was taken, in ms since 1970.", _COUNT, AT_MS),
    "restored": Field("Restored objects by kind.", _COUNTS, {"endpoint": 12}),
    "deleted": Field("Objects by kind that were deleted after the checkpoint.", _COUNTS, {}),
    "refused": Field("Objects that could not be restored, with the reason.", _TEXTS, {}),
    "refusedCount": Field("How many objects could not be restored.", _COUNT, 0),
    "routes": Field("Routes with the rowId from which they are polled again.", _TEXTS, {"main/all": "141248745"}),
    "routeCount": Field("How many routes are polled again.", _COUNT, 1),
}

_OF_ENDPOINT = ("appId", "appUid", "endpointId", "endpointUid")
_OF_ATTEMPT = ("appId", "appUid", "endpointId", "lastAttempt", "msgEventId", "msgId")
_OF_ROUTE = ("source", "route", "cursor", "lastError")
_OF_RUN = ("source", "reconciliationId", "scheduled")
_BACKLOG = ("deliveries", "most")
_MEMORY = ("usedBytes", "maxBytes")

TYPES: Mapping[str, OperationalType] = {
    "application.unfit": OperationalType(
        "This release cannot use the filter of an application.", ("appId", "appUid", "reason")
    ),
    "application.unreadable": OperationalType(
        "The stored record of an application cannot be read.", ("appId", "appUid", "reason")
    ),
    "backlog.full": OperationalType("Too many deliveries wait, so polling stops.", _BACKLOG),
    "backlog.recovered": OperationalType("Fewer deliveries wait, so polling continues.", _BACKLOG),
    "checkpoint.current": OperationalType("The checkpoint is current again.", ()),
    "checkpoint.old": OperationalType("The checkpoint is old.", ("ageSeconds", "url", "reason")),
    "clock.off": OperationalType("The clock of a machine is wrong.", ("node", "skewSeconds")),
    "clock.right": OperationalType("The clock of a machine is right again.", ("node", "skewSeconds")),
    "endpoint.backlog_dropped": OperationalType(
        "More waited for an endpoint than the relay keeps, so the oldest deliveries were dropped.",
        ("endpointId", "givenUp", "waiting", "tooOld", "bytes"),
        ("appId", "appUid"),
    ),
    "endpoint.created": OperationalType("An endpoint was created.", _OF_ENDPOINT),
    "endpoint.deleted": OperationalType("An endpoint was deleted.", _OF_ENDPOINT),
    "endpoint.disabled": OperationalType(
        "An endpoint was disabled: by the relay after 410, five days of failures or refused credentials, or through "
        "the API.",
        (*_OF_ENDPOINT, "failSince", "trigger", "reason"),
    ),
    "endpoint.enabled": OperationalType("An endpoint was enabled.", _OF_ENDPOINT),
    "endpoint.unfit": OperationalType(
        "This release cannot use the filter of an endpoint.", ("appId", "appUid", "endpointId", "reason")
    ),
    "endpoint.unreadable": OperationalType(
        "The stored record of an endpoint cannot be read.", ("endpointId", "reason"), ("appId", "appUid")
    ),
    "endpoint.updated": OperationalType("An endpoint was changed.", _OF_ENDPOINT),
    EXHAUSTED: OperationalType(
        "The last attempt to send a message to an endpoint failed, or five workers died while they sent it.",
        _OF_ATTEMPT,
        ("reason",),
    ),
    FAILING: OperationalType("The fourth attempt to send a message to an endpoint failed.", _OF_ATTEMPT),
    RECOVERED: OperationalType("A message was delivered after four failures or more.", _OF_ATTEMPT),
    "quarantine.growing": OperationalType(
        "Lines of a source could not be read. Sent for the first line, and each time that their number has doubled.",
        ("source", "route", "lines", "total"),
    ),
    "reading.cut": OperationalType(
        "The relay forgot rows before it could read them again.",
        ("source", "route", "reading", "afterRowId", "untilRowId"),
    ),
    "source.differs": OperationalType(
        "A reconciliation found differences.",
        _OF_RUN,
        ("missing", "unexpected", "undelivered", "dead", "dropped"),
    ),
    "source.lagging": OperationalType("A route of a source is behind Infinity, and its cursor moves.", _OF_ROUTE),
    "source.reconciliation_failed": OperationalType("A reconciliation was given up.", (*_OF_RUN, "reason")),
    "source.recovered": OperationalType("A route of a source keeps up again.", _OF_ROUTE),
    "source.repaired": OperationalType("A repair ended.", (*_OF_RUN, "repaired", "unrepaired")),
    "source.stalled": OperationalType("The cursor of a route of a source stands still.", _OF_ROUTE),
    "source.unauthorized": OperationalType(
        "Infinity refused the credentials of a source, so a route stopped.", ("source", "route", "reason")
    ),
    "source.unreadable": OperationalType("The stored record of a source cannot be read.", ("source", "reason")),
    "store.full": OperationalType("Redis is nearly full, so polling stops.", _MEMORY),
    "store.recovered": OperationalType("Redis has room again, so polling continues.", _MEMORY),
    "store.restored": OperationalType(
        "Redis came back empty or older, and was restored from the checkpoint.",
        ("takenAtMs", "restored", "deleted", "refused", "refusedCount", "routes", "routeCount"),
    ),
}
"""All types of operational events, by name."""


def is_operational(name: str) -> bool:
    """Whether a type is one of operational events."""
    return name in TYPES


def data_schema(name: str) -> Schema:
    """The schema of `data` of a type. Raises KeyError for another type."""
    of = TYPES[name]
    return {
        "type": "object",
        "required": list(of.fields),
        "properties": {
            each: {"description": FIELDS[each].description, **FIELDS[each].schema}
            for each in (*of.fields, *of.optional)
        },
    }


@lru_cache(maxsize=len(TYPES))
def operational_example(name: str) -> bytes:
    """The body of an example event of a type. Raises KeyError for another type."""
    of = TYPES[name]
    return operational_body(name, AT_MS, {each: FIELDS[each].example for each in (*of.fields, *of.optional)})

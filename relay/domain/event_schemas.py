"""What the relay's own types look like: a JSON Schema of the body of each, made from what the relay does with rows.

The kinds of columns are those of relay.domain.normalising, so a column that it learns to read is in the schemas. They
describe rows whose columns are texts, as Infinity sends them. The relay checks no event against them.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from relay.domain.event_types import CLASSES, EVENT_TYPES
from relay.domain.normalising import KINDS, Kind
from relay.domain.operational_types import TYPES, data_schema, is_operational

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = "1"
"""Of the schemas. It changes when an event could no longer be read by what was written for the version before."""
UNFIT = "A text that does not fit is passed on unchanged."

_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
_KINDS: Mapping[Kind, Schema] = {
    "id": {"description": "The number of an object, as text.", "type": ["string", "null"]},
    "number": {
        "description": f"A number with the digits that Infinity sent; null: empty. {UNFIT}",
        "type": ["number", "null", "string"],
    },
    "flag": {"description": f"true or false; null: empty. {UNFIT}", "type": ["boolean", "null", "string"]},
    "time": {
        "description": f"RFC 3339 in UTC, such as 2018-01-16T13:20:11.000Z; null: empty. {UNFIT}",
        "type": ["string", "null"],
    },
    "notes": {
        "description": f"A list of notes. {UNFIT}",
        "type": ["array", "string", "null"],
        "items": {"$ref": "#/$defs/note"},
    },
    "text": {"description": "A text, unchanged.", "type": ["string", "null"]},
}
_LINKS: Schema = {
    "recordingUrl": {
        "description": "Downloads the recording. Only of calls, for an endpoint that includes it.",
        "type": "string",
    },
    "visitorTraceUrl": {
        "description": "Gets the touch points of the visitor. Only of calls, for an endpoint that includes it.",
        "type": "string",
    },
}
_NOTE: Schema = {
    "description": "One note.",
    "properties": {"note": {"type": "string"}, "createDatetime": {"$ref": "#/$defs/time"}},
}


def schema_id(event_type: str) -> str:
    """The `$id` of a type's schema. It names no host, because nobody has to fetch it.

    >>> schema_id("call.created")
    'urn:relay:event-type:call.created:1'
    """
    return f"urn:relay:event-type:{event_type}:{VERSION}"


@lru_cache(maxsize=len(EVENT_TYPES) + len(TYPES))
def schema_of(event_type: str) -> Schema:
    """The schema of the bodies of one of the relay's own types. Nobody may change what it gives.

    Raises KeyError for another type.
    """
    if is_operational(event_type):
        return _whole(event_type, data_schema(event_type))
    if event_type not in EVENT_TYPES:
        raise KeyError(event_type)
    of_class, _, change = event_type.partition(".")
    whole = _whole(event_type, _data(of_class, is_change=change == "updated"))
    return {**whole, "$defs": {**_KINDS, "note": _NOTE, "trigger": _trigger()}}


def _whole(event_type: str, data: Schema) -> Schema:
    return {
        "$schema": DIALECT,
        "$id": schema_id(event_type),
        "title": event_type,
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"description": "The type. It is always the first field.", "const": event_type},
            "timestamp": {
                "description": "When it happened: RFC 3339 in UTC with milliseconds.",
                "type": "string",
                "format": "date-time",
                "pattern": _TIME,
            },
            "data": data,
        },
    }


def _data(of_class: str, *, is_change: bool) -> Schema:
    properties: Schema = {
        "source": {"description": "The uid of the source.", "type": "string"},
        "igrp": {"description": "The installation.", "type": "integer"},
        "rowId": {"description": "The id of the row, as text.", "type": "string", "pattern": "^-?[0-9]+$"},
        "key": {
            "description": "The row, in all of its events: the installation and the rowId. The key for upserts.",
            "type": "string",
            "pattern": "^-?[0-9]+-(itemisedCalls-)?-?[0-9]+$",
        },
        "revision": {"description": "1 for a new row. It grows with each change.", "type": "integer", "minimum": 1},
        "classes": {
            "description": "All classes of the row now.",
            "type": "array",
            "items": {"enum": list(CLASSES)},
            "contains": {"const": of_class},
            "uniqueItems": True,
        },
        "repaired": {"description": "Present if the relay had to repair the row.", "const": True},
        "trigger": {"description": "The row.", "$ref": "#/$defs/trigger"},
    }
    if is_change:
        properties["previous"] = {
            "description": "The changed fields with their old values. Absent if the relay no longer has them.",
            "$ref": "#/$defs/trigger",
        }
    if of_class != "call_charge":
        properties |= _LINKS
    return {
        "type": "object",
        "required": ["source", "igrp", "rowId", "key", "revision", "classes", "trigger"],
        "properties": properties,
    }


def _trigger() -> Schema:
    """A row. Columns that the relay does not know are in it, too, so others are allowed."""
    return {"type": "object", "properties": {name: {"$ref": f"#/$defs/{kind}"} for name, kind in KINDS.items()}}

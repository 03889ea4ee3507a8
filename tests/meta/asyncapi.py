"""The AsyncAPI document of the callbacks: channels and messages with headers, bodies and examples."""

from typing import Any

import msgspec

from relay.api.callback_docs import HEADERS
from relay.api.schemas.event_types import show_own
from relay.domain.event_examples import example_of
from relay.domain.event_schemas import schema_of
from relay.domain.event_types import EVENT_TYPES
from relay.domain.operational_types import TYPES

VERSION = "3.0.0"
"""Of AsyncAPI."""
_SHARED = "$defs"
_DESCRIPTION = (
    "Signed HTTP callbacks of the Infinity event relay (Standard Webhooks 1.0). The relay delivers each event at least "
    "once, in any order: process each `webhook-id` once. Answer 2xx within 20 seconds. See docs/receiving.md."
)
_CHANNELS = {
    "events": (
        "Events of rows",
        "The URL of an endpoint. Each row of Infinity's reports becomes an event.",
        EVENT_TYPES,
    ),
    "operations": ("Operational webhooks", "The URL of an operational endpoint. Events about the relay itself.", TYPES),
}


def document() -> dict[str, Any]:
    """The whole document. Its schemas use only what JSON Schema draft 7 has, which every AsyncAPI tool reads."""
    names = (*EVENT_TYPES, *TYPES)
    return {
        "asyncapi": VERSION,
        "info": {"title": "Callbacks of the Infinity event relay", "version": "1", "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {name: _channel(*said) for name, said in _CHANNELS.items()},
        "operations": {name: _operation(name, title) for name, (title, _, _) in _CHANNELS.items()},
        "components": {
            "messages": {name: _message(name) for name in names},
            "messageTraits": {"signed": {"headers": _headers()}},
            "schemas": _shared() | {name: _moved(_own(name)) for name in names},
        },
    }


def _channel(title: str, description: str, names: Any) -> dict[str, Any]:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in names}
    return {"title": title, "description": description, "address": None, "messages": messages}


def _operation(channel: str, title: str) -> dict[str, Any]:
    return {
        "action": "send",
        "title": title,
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
    }


def _message(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "summary": show_own(name, with_content=False).description,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/signed"}],
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"payload": msgspec.json.decode(example_of(name))}],
    }


def _headers() -> dict[str, Any]:
    properties = {
        name: {"description": said, **{"examples" if key == "example" else key: [value] if key == "example" else value
                                       for key, value in schema.items()}}
        for name, (said, schema) in HEADERS.items()
    }  # fmt: skip
    return {"type": "object", "required": list(HEADERS), "properties": properties}


def _own(name: str) -> dict[str, Any]:
    return {key: value for key, value in schema_of(name).items() if key not in ("$schema", "$id", _SHARED)}


def _shared() -> dict[str, Any]:
    """What the schemas of all events of rows have in common. Raises AssertionError if they differ in it."""
    first, *others = (schema_of(name)[_SHARED] for name in EVENT_TYPES)
    assert all(other == first for other in others)
    return {name: _moved(schema) for name, schema in first.items()}


def _moved(value: Any) -> Any:
    """A schema whose references lead into the document."""
    if isinstance(value, dict):
        return {name: _moved(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_moved(each) for each in value]
    return value.replace(f"#/{_SHARED}/", "#/components/schemas/") if isinstance(value, str) else value

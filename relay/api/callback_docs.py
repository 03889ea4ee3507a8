"""The callbacks in the OpenAPI document: what an endpoint receives, one webhook for each of the relay's own types."""

from typing import Any

import msgspec

from relay.api.schemas.event_types import OWN, show_own
from relay.domain.event_examples import example_of
from relay.domain.event_schemas import schema_of
from relay.domain.operational_types import TYPES, is_operational

HEADERS = {
    "webhook-id": (
        "Identifies the event. It is the same on every attempt, so that you can ignore what you have already",
        {"type": "string", "example": "msg_IUUKzAM5N8emmn870dUfmdtI"},
    ),
    "webhook-timestamp": (
        "When this attempt was made, in seconds since 1970",
        {"type": "string", "pattern": "^[0-9]+$", "example": "1516108815"},
    ),
    "webhook-signature": (
        "One or more signatures (Standard Webhooks 1.0), separated by spaces. Verify one of them over the raw body",
        {"type": "string", "example": "v1,BSk567N9V1k0ywB20GckTh0c8LLaUkAdbFMFdzaYPxo="},
    ),
}
ANSWERS = {
    "2XX": {"description": "The callback is delivered"},
    "410": {"description": "The endpoint is disabled"},
    "default": {"description": "The relay tries again later, for up to 75 hours by default"},
}
"""What a receiver says with its status."""


def webhooks() -> dict[str, Any]:
    """Every callback by its event type. Posted messages have the payload that was posted as their body."""
    return {name: {"post": _callback(name)} for name in (*OWN, *TYPES)}


def _callback(name: str) -> dict[str, Any]:
    schema = {key: value for key, value in schema_of(name).items() if key not in ("$schema", "$id")}
    return {
        "operationId": f"Receive{''.join(part.capitalize() for part in name.replace('.', '_').split('_'))}",
        "tags": ["operational callback" if is_operational(name) else "callback"],
        "summary": name,
        "description": show_own(name, with_content=False).description,
        "parameters": [
            {"in": "header", "name": header, "required": True, "description": said, "schema": of}
            for header, (said, of) in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": msgspec.json.decode(example_of(name))}},
        },
        "responses": ANSWERS,
    }

"""Event types that customers create: what is kept of them, what they may be, and which types endpoints can name."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from relay.domain.event_types import EVENT_TYPES
from relay.domain.model import Struct
from relay.domain.operational_types import is_operational

NAME_MOST = 256
MOST_TYPES = 1000
"""Of all that are created, the archived ones too."""
SCHEMAS_BYTES = 32_768
"""Of all versions of the schemas of one type, as JSON. The types take 32 MB at most."""
MOST_VERSIONS = 50
OPERATIONAL_PATH = "/api/v1/operational-webhook/endpoint"
GUESSED_CHARS = 64
MOST_NEAR = 3
"""Names in the message about one that there is not."""


class CustomType(Struct, frozen=True, kw_only=True):
    """An event type that a customer created."""

    name: str
    description: str
    archived: bool = False
    """Endpoints that name it still get its events. No other endpoint can name it."""
    deprecated: bool = False
    schemas: dict[str, Any] | None = None
    """By version, a JSON Schema of the payloads. The relay checks no payload against it."""
    feature_flags: tuple[str, ...] = ()
    """For the customer's own use."""
    group_name: str | None = None
    created_at_ms: int
    updated_at_ms: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the types that are created stand to some names."""

    live: Collection[str] = ()
    """Those of the names that are types, and not archived."""
    archived: Collection[str] = ()
    """Those of the names that are archived."""
    own: Collection[str] = EVENT_TYPES
    """The relay's own types that are for the endpoint: those of rows, or those of operational events."""
    known: Collection[str] = ()
    """Names that a message can suggest, besides those of the relay's own types."""


def is_own(name: str) -> bool:
    """Whether a type is one of the relay's own: of rows, or of operational events."""
    return name in EVENT_TYPES or is_operational(name)


def read_only(name: str) -> str:
    """Why one of the relay's own types cannot be changed."""
    return f"`{name}` is one of the relay's own event types, which are read-only. Choose another name"


def schemas_fault(schemas: Mapping[str, Any]) -> str | None:
    """What is wrong with the schemas of a type as a whole; None: nothing."""
    if len(schemas) > MOST_VERSIONS:
        return f"must have at most {MOST_VERSIONS} versions, not {len(schemas)}"
    size = len(msgspec.json.encode(schemas))
    return None if size <= SCHEMAS_BYTES else f"must take at most {SCHEMAS_BYTES} bytes as JSON, not {size}"


def subscription_fault(name: str, standing: Standing) -> str | None:
    """Why an endpoint cannot begin to name a type; None: it can.

    >>> subscription_fault("call.created", Standing()) is subscription_fault("a", Standing(live={"a"})) is None
    True
    """
    if name in standing.own or name in standing.live:
        return None
    if is_operational(name):
        return f"`{name}` is of operational events: create an endpoint with POST {OPERATIONAL_PATH}"
    if name in standing.archived:
        return f"the event type `{name}` is archived; unarchive it with POST /api/v1/event-type"
    near = near_names(name, (*standing.own, *standing.known))
    meant = f"did you mean {' or '.join(f'`{each}`' for each in near)}? " if near else ""
    if standing.own is not EVENT_TYPES:
        listed = "GET /api/v1/event-type?include_operational=true lists them"
        return f"there is no operational event type `{name}`; {meant}{listed}"
    return f"there is no event type `{name}`; {meant}GET /api/v1/event-type lists them, and POST creates one"


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """The names that are nearest to one, the nearest first."""
    if len(name) > GUESSED_CHARS:
        return []
    candidates = [each for each in names if len(each) <= GUESSED_CHARS]
    return difflib.get_close_matches(name, candidates, n=MOST_NEAR, cutoff=0.75)

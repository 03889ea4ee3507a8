"""Who calls the API, and what that principal can do: scopes, and the application that a key is bound to."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, NewType

from relay.domain.model import ApplicationId, Struct

KeyId = NewType("KeyId", str)
PORTAL_PREFIX = "ptl_"
"""How ids of tokens of the portal begin."""
Action = Literal["read", "write"]


class Resource(StrEnum):
    """What scopes are about: the kinds of things that the API has."""

    APPLICATION = "application"
    ATTEMPT = "attempt"
    AUDIT = "audit"
    ENDPOINT = "endpoint"
    ENDPOINT_SECRET = "endpoint_secret"  # noqa: S105 - the name of a resource
    EVENT_TYPE = "event_type"
    KEY = "key"
    MESSAGE = "message"
    OPERATIONAL_EVENT = "operational_event"
    OPERATIONAL_WEBHOOK = "operational_webhook"
    RECORDING = "recording"
    SOURCE = "source"


NAMED_ONLY = frozenset({Resource.AUDIT, Resource.ENDPOINT_SECRET, Resource.KEY, Resource.RECORDING})
"""`read` and `write` alone do not include these: a key has them only if its scopes name them."""
ACTIONS: tuple[Action, ...] = ("read", "write")
SCOPES = (*ACTIONS, *(f"{resource}:{action}" for resource in Resource for action in ACTIONS))
"""All scopes that a key can have."""


def scope(resource: Resource, action: Action) -> str:
    """The scope that an operation requires.

    >>> scope(Resource.ENDPOINT, "write")
    'endpoint:write'
    """
    return f"{resource}:{action}"


def granted(scopes: Iterable[str]) -> frozenset[str]:
    """Every scope of a resource that some scopes include. Scopes of a newer release include nothing.

    >>> sorted(granted(["endpoint:write"]))
    ['endpoint:read', 'endpoint:write']
    """
    given = set(scopes)
    found = set[str]()
    for resource in Resource:
        general = set() if resource in NAMED_ONLY else given & {"read", "write"}
        if "write" in general or scope(resource, "write") in given:
            found |= {scope(resource, "read"), scope(resource, "write")}
        elif general or scope(resource, "read") in given:
            found.add(scope(resource, "read"))
    return frozenset(found)


class KeySecret(Struct, frozen=True, kw_only=True):
    """What is kept of one token of a key."""

    digest: str
    """SHA-256 of the token's secret, in hex: see relay.domain.tokens."""
    expires_at_ms: int | None = None
    """None: the current token. A token that was rotated out works until then."""


class ApiKey(Struct, frozen=True, kw_only=True):
    """A named key of the API."""

    id: KeyId
    name: str
    scopes: tuple[str, ...]
    app_id: ApplicationId | None = None
    """The application that the key is bound to. None: it is for every application."""
    secrets: tuple[KeySecret, ...]
    """The current one first."""
    hint: str = ""
    """The last characters of the current token, by which people recognise it."""
    expires_at_ms: int | None = None
    """None: it does not expire."""
    created_at_ms: int = 0
    updated_at_ms: int = 0
    session: str = ""
    """Of a token of the portal: your own name for the session that it belongs to."""


class Principal(Struct, frozen=True, kw_only=True):
    """Who makes a request: a key, or the operator with `RELAY_ADMIN_KEY`."""

    id: str
    """The id of the key, or `admin`."""
    name: str
    scopes: frozenset[str]
    """Scopes of resources, see `granted`."""
    application: ApplicationId | None = None
    """The only application that exists for it. None: every application."""
    expires_at_ms: int | None = None
    """When it ceases to be one. None: never."""

    @property
    def is_portal(self) -> bool:
        """Whether it is a subscriber in the portal."""
        return self.id.startswith(PORTAL_PREFIX)

    def may(self, needed: str) -> bool:
        """Whether its scopes include one of a resource."""
        return needed in self.scopes

    def missing(self, scopes: Iterable[str]) -> list[str]:
        """What it lacks of some scopes, sorted: it cannot give these to a key, nor act on a key that has them."""
        return sorted(granted(scopes) - self.scopes)


ADMIN = Principal(id="admin", name="RELAY_ADMIN_KEY", scopes=granted(SCOPES))
"""The operator with the key from the settings."""


def principal_of(key: ApiKey) -> Principal:
    """Who makes the requests of a key."""
    return Principal(
        id=key.id, name=key.name, scopes=granted(key.scopes), application=key.app_id, expires_at_ms=key.expires_at_ms
    )

"""What a declared source, application or endpoint may have, and when a declared value is the one that the API shows."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import msgspec

from relay.api.body_faults import Walk, type_of
from relay.api.schemas.applications import ApplicationIn
from relay.api.schemas.endpoints import EndpointIn
from relay.api.schemas.sources import SourceIn
from relay.cli.client.answers import DETAILS
from relay.cli.declaring.hiding import AUTH_SECRETS
from relay.cli.faults import Misused
from relay.domain.headers import is_sensitive
from relay.domain.names import own_uid, source_uid
from relay.domain.secret_urls import HIDDEN_PATH, masked
from relay.errors import Invalid

Same = Callable[[Any, Any], bool]
"""(declared, shown): whether nothing differs that can be seen."""

WRITTEN_ONCE = ("secret", "recipe", "parameters")
"""Fields of an endpoint that count when it is created, and that no response has."""


def same(declared: Any, shown: Any) -> bool:
    """Equal, where nothing, an empty text, an empty list and an empty object are the same."""
    return declared == shown or (not declared and not shown and not _is_number(declared) and not _is_number(shown))


def same_strictly(declared: Any, shown: Any) -> bool:
    """Equal, where an empty list is not null."""
    return bool(declared == shown)


def same_set(declared: Any, shown: Any) -> bool:
    """Equal but for their order, where an empty list is not null."""
    if isinstance(declared, list) and isinstance(shown, list):
        return set(declared) == set(shown)
    return bool(declared == shown)


def same_base_url(declared: Any, shown: Any) -> bool:
    """The API leaves out a slash at the end."""
    return str(declared).rstrip("/") == str(shown).rstrip("/")


def same_credentials(declared: Any, shown: Any) -> bool:
    """Equal but for the secrets, which the API does not show, and for fields that only the API has."""
    if not declared or not shown:
        return not declared and not shown
    visible = {name: value for name, value in declared.items() if name not in AUTH_SECRETS}
    return all(shown.get(name) == value for name, value in visible.items())


def same_headers(declared: Any, shown: Any) -> bool:
    """Equal but for the values of sensitive headers. Names have no case. null: the relay has the value."""
    asked = {name.lower(): value for name, value in (declared or {}).items()}
    has = {name.lower(): value for name, value in (shown or {}).items()}
    if asked.keys() != has.keys():
        return False
    return all(value is None or is_sensitive(name) or value == has[name] for name, value in asked.items())


def same_privacy(declared: Any, shown: Any) -> bool:
    """Equal without repeated rules."""
    return _rules(declared) == _rules(shown)


def _rules(rules: Any) -> list[tuple[Any, Any]]:
    return list(dict.fromkeys((each["field"], each["action"]) for each in rules or ()))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sets(*names: str) -> dict[str, Same]:
    return dict.fromkeys(names, same_set)


class Shape:
    """One kind of object: its type on the wire, and how its fields are compared."""

    def __init__(
        self,
        kind: str,
        wire: type[msgspec.Struct],
        *,
        own: tuple[str, ...],
        compared: Mapping[str, Same],
        uid: Callable[[str], object],
    ) -> None:
        """`own`: fields of the type that a file cannot have, because they are read-only or the key of the mapping.

        `uid` raises Invalid for a text that is no uid of this kind.
        """
        self.kind = kind
        self._wire = wire
        self._own = own
        self._compared = compared
        self._check_uid = uid
        self._old_names: Mapping[str, str] = getattr(wire, "old_names", {})

    def checked(self, body: dict[str, Any], uid: str, place: str) -> dict[str, Any]:
        """A declared object with the names and the forms of the API. Raises Misused.

        Objects inside of fields get the defaults of their omitted fields, so that they can be compared as a whole.
        """
        try:
            self._check_uid(uid)
        except Invalid as error:
            raise Misused(f"{place}: the uid {error.faults[0].message}") from None
        for name in self._own:
            if name in body:
                raise Misused(f"{place}.{name}: cannot be declared. The uid is the key of the mapping")
        body = {self._old_names.get(name, name): value for name, value in body.items()}
        hidden = _hidden_headers(body)
        whole = msgspec.to_builtins(self._converted(self._convertible(body, uid), place))
        checked = {name: whole[name] for name in body if name in whole}
        if hidden:
            checked["headers"] = checked["headers"] | hidden
        return checked

    def _converted(self, body: dict[str, Any], place: str) -> msgspec.Struct:
        """An object of the wire. Raises Misused with the words of the API, whose own checks the API makes later."""
        faults = islice(Walk(policies=None).faults(type_of(self._wire), body, ()), DETAILS)
        if said := [f"{_joined(place, fault.path)}: {fault.message}" for fault in faults]:
            raise Misused("; ".join(said))
        return msgspec.convert(body, self._wire)

    def _convertible(self, body: dict[str, Any], uid: str) -> dict[str, Any]:
        """With the fields that a new object needs, because a declared one may have them already."""
        needed: dict[str, Any] = {"name": uid} if self.kind == "application" else {}
        if self.kind == "source":
            needed = {"baseUrl": "https://api.infinitycloud.com", "igrp": 1, "routes": ["all"]}
        given = needed | body
        if isinstance(given.get("headers"), dict):
            given["headers"] = {name: value for name, value in given["headers"].items() if value is not None}
        return given

    def is_same(self, name: str, declared: Any, shown: Mapping[str, Any]) -> bool:
        """Whether a declared field is the one that the API shows, as far as it can be seen."""
        if name in WRITTEN_ONCE:
            return True
        if name == "url" and shown.get("urlIsSecret") and isinstance(declared, str):
            return shown["url"] in (declared, _masked(declared))
        return self._compared.get(name, same)(declared, shown.get(name))


def hides_secret(name: str, declared: Any, body: Mapping[str, Any]) -> bool:
    """Whether a declared field has a secret that the API does not show, so that nobody can compare it."""
    if name in ("auth", "clientCertificate"):
        return isinstance(declared, dict) and any(key in AUTH_SECRETS for key in declared)
    if name == "headers":
        return any(value is not None and is_sensitive(key) for key, value in (declared or {}).items())
    return name == "url" and bool(body.get("urlIsSecret")) and not str(declared).endswith(HIDDEN_PATH)


def _masked(url: str) -> str:
    try:
        urlsplit(url)
    except ValueError:
        return url
    return masked(url)


def _hidden_headers(body: Mapping[str, Any]) -> dict[str, None]:
    headers = body.get("headers")
    return {name: None for name, value in headers.items() if value is None} if isinstance(headers, dict) else {}


def _joined(place: str, path: tuple[str | int, ...]) -> str:
    return place + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


SOURCE = Shape(
    "source",
    SourceIn,
    own=("uid", "routeStates", "createdAt", "updatedAt"),
    compared={"baseUrl": same_base_url, "auth": same_credentials, "startRowId": same_strictly, **_sets("routes")},
    uid=source_uid,
)
APPLICATION = Shape(
    "application",
    ApplicationIn,
    own=("uid",),
    compared={"privacy": same_privacy, **_sets("sources")},
    uid=own_uid,
)
ENDPOINT = Shape(
    "endpoint",
    EndpointIn,
    own=("uid", "version"),
    compared={
        "auth": same_credentials,
        "clientCertificate": same_credentials,
        "headers": same_headers,
        "privacy": same_privacy,
        "retrySchedule": same_strictly,
        **_sets("eventTypes", "channels", "include", "signatures"),
    },
    uid=own_uid,
)

"""Faults of a body that its type alone does not show: fields that depend on each other or on the stored object.

The rules here are pure. `relay.api.body_context` runs them before the body is converted, so that one answer lists all
faults. The code that changes an object runs them again, because the stored object can have changed since.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from relay.domain.credentials import BasicAuth
from relay.domain.model import Source, SourceUid
from relay.domain.names import own_uid
from relay.domain.origins import origin_of
from relay.errors import Fault, Invalid

Path = tuple[str | int, ...]

MOVED = "would be sent to another scheme, host or port than before"


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of a body, and the paths of its known faults."""

    fields: Mapping[str, Any]
    wrong: frozenset[Path] = field(default=frozenset())

    @staticmethod
    def of(body: msgspec.Struct) -> "Asked":
        """A converted body."""
        return Asked(msgspec.to_builtins(body))

    def sound(self, *names: str) -> bool:
        """Whether these fields have no fault."""
        return not any(path[1:2] == (name,) for path in self.wrong for name in names)

    def get(self, name: str, default: Any = None) -> Any:
        """A field's value."""
        return self.fields.get(name, default)


def raise_for(faults: Iterable[Fault]) -> None:
    """Raise Invalid if there are faults."""
    if found := list(faults):
        raise Invalid(*found)


def identity_faults(asked: Asked, name: str, own: str | None) -> Iterator[Fault]:
    """A fault of a read-only id that is another object's; `own` is the id of the object that the path names."""
    given = asked.get(name)
    if own is not None and isinstance(given, str) and given != own:
        yield Fault(("body", name), f"is read-only, and the path names `{own}`: omit it, or use the other path")


def path_uid_faults(asked: Asked, uid: str, parameter: str) -> Iterator[Fault]:
    """Faults of the uid in the path of a PUT that creates an object."""
    if asked.get("uid") is None:
        try:
            own_uid(uid, path=("path", parameter))
        except Invalid as error:
            yield from error.faults


def application_faults(asked: Asked, known: Collection[SourceUid]) -> Iterator[Fault]:
    """Faults of an application; `known` are the sources that it can name."""
    sources = asked.get("sources")
    for at, uid in enumerate(sources if isinstance(sources, list) else ()):
        place = ("body", "sources", at)
        if isinstance(uid, str) and place not in asked.wrong and uid not in known:
            yield Fault(place, f"there is no source `{uid}`; create it first, or see GET /api/v1/source")


def source_faults(asked: Asked, stored: Source | None) -> Iterator[Fault]:
    """Faults of a source that is created (`stored` is None) or changed."""
    url, auth = asked.get("baseUrl"), asked.get("auth")
    moved = stored is not None and bool(url) and asked.sound("baseUrl") and origin_of(url) != origin_of(stored.base_url)
    kept = None if moved or stored is None else stored.auth
    if "auth" not in asked.fields:
        if kept is None:
            why = f"{MOVED}: send it again" if moved else "is required, because the source does not exist yet"
            yield Fault(("body", "auth"), why)
        return
    needed = {"apiKey": ("key",), "basic": ("username", "password")}
    kind = auth.get("type") if isinstance(auth, dict) else None
    if not isinstance(kind, str) or kind not in needed:
        return
    has_them = isinstance(kept, BasicAuth) if kind == "basic" else kept is not None and not isinstance(kept, BasicAuth)
    for name in needed[kind]:
        if name not in auth and not has_them:
            why = f"{MOVED}: send it again" if moved else "is required, because the source has no such credentials yet"
            yield Fault(("body", "auth", name), why)
    renamed = isinstance(kept, BasicAuth) and kind == "basic" and auth.get("username", kept.username) != kept.username
    if renamed and "password" not in auth:
        yield Fault(("body", "auth", "password"), "is required, because `username` changes")

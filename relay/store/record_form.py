"""The form in which objects of the configuration are kept: JSON with a version, and secrets sealed.

A record that this release can't read is told apart from one that is not there. Fields that this release does not know,
because a newer one added them, stay as they are when the record is written again; where they stand inside of a field
that it does know, a change is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import structs

from relay.errors import Conflict, Unreadable
from relay.store.vault import Vault

T = TypeVar("T", bound=msgspec.Struct)

VERSION = 1
"""A record without one is of this version too."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What differs between sources, applications and endpoints."""

    name: str
    struct: type[T]
    id_of: Callable[[T], str]
    folder: Callable[[T], str]
    """Where the object stands in the index: lists are one folder's."""
    uid: Callable[[T], str | None] = lambda _: None
    """The object's entry among the uids of its kind."""
    owner: Callable[[T], str] = lambda _: ""
    owners: str = ""
    """The kind that it belongs to."""
    sealed: tuple[str, ...] = ()
    """Fields that hold secrets."""
    hidden: tuple[str, ...] = ()
    """Further fields that the audit log hides."""
    matching: Callable[[T], Any] = lambda _: None
    """What of an object decides who gets which events; that it is there decides too."""
    fault: Callable[[T], str | None] = lambda _: None
    """What makes an object useless, though each of its fields has the right type; None: nothing."""
    glimpse: Callable[[str, str, Mapping[str, Any]], T | None] = lambda *_: None
    """From an id, the last part of a folder and the fields of an unreadable record to what can be trusted of it."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A record, and the bytes that it was read from: a writer that replaces it must have seen them."""

    stored: bytes
    fields: Mapping[str, Any] = field(repr=False)
    """As they stand, secrets sealed."""
    value: T | None
    """None: this release can't read it."""
    why: str = ""
    """Why it can't be read."""


class Form(Generic[T]):
    """Reads and writes the records of one kind."""

    def __init__(self, kind: Kind[T], vault: Vault) -> None:
        self._kind = kind
        self._vault = vault

    def read(self, object_id: str, stored: bytes) -> Kept[T]:
        """Read a record, whatever it is."""
        fields: Mapping[str, Any] = {}
        try:
            fields = _fields(stored)
            return Kept(stored, fields, self._value(object_id, fields))
        except Unreadable as error:
            return Kept(stored, fields, None, str(error))

    def write(self, value: T, *, over: Kept[T] | None) -> bytes:
        """The record of an object. Raises Conflict when that would drop what a newer release wrote into `over`."""
        kind, fields = self._kind, dict[str, Any](msgspec.to_builtins(value))
        if over is not None and over.value is not None:
            known = msgspec.to_builtins(over.value)
            opened = self._opened(kind.id_of(over.value), over.fields)
            if lost := [path for path in _unknown(opened, known) if "." in path]:
                raise Conflict(
                    f"{kind.name} {kind.id_of(value)} was written by a newer release, and holds what this one would "
                    f"drop ({', '.join(lost)}): change it with that release"
                )
            fields = {name: each for name, each in over.fields.items() if name not in known} | fields
        for name in kind.sealed:
            if fields[name]:
                plain = msgspec.json.encode(fields[name])
                fields[name] = self._vault.seal(plain, f"{kind.name}|{kind.id_of(value)}|{name}")
        return msgspec.json.encode({**fields, "v": VERSION})

    def holds(self, kept: Kept[T], value: T) -> bool:
        """Whether a record says all of `value` already, but for the time; one under an older key is to be written."""
        if kept.value is None:
            return False
        before = structs.replace(kept.value, updated_at_ms=getattr(value, "updated_at_ms", 0))
        secrets = [kept.fields.get(name) for name in self._kind.sealed]
        return before == value and all(self._vault.is_current(sealed) for sealed in secrets if sealed)

    def _value(self, object_id: str, fields: Mapping[str, Any]) -> T:
        if fields.get("v", VERSION) != VERSION:
            raise Unreadable(f"it has version {fields['v']!r}, which this release does not know: use a newer one")
        try:
            value = msgspec.convert(self._opened(object_id, fields), self._kind.struct)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Unreadable(f"it is damaged: {error}") from None
        if self._kind.id_of(value) != object_id:
            raise Unreadable("it is damaged: it has the id of another one")
        if fault := self._kind.fault(value):
            raise Unreadable(f"it is damaged: {fault}")
        return value

    def _opened(self, object_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        opened = dict(fields)
        for name in self._kind.sealed:
            sealed = opened.get(name)
            if sealed:
                if not isinstance(sealed, str):
                    raise Unreadable(f"it is damaged: {name} is not sealed")
                plain = self._vault.open(sealed, f"{self._kind.name}|{object_id}|{name}")
                opened[name] = msgspec.json.decode(plain)
        return opened


def _fields(stored: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(stored, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unreadable("it is damaged: it is no JSON object") from None


def _unknown(kept: Any, known: Any, path: str = "") -> Iterator[str]:
    """Paths of what a record holds and this release does not know: those of fields, and inside of them."""
    if isinstance(kept, dict) and isinstance(known, dict):
        for name, value in kept.items():
            if name in known:
                yield from _unknown(value, known[name], f"{path}{name}.")
            else:
                yield path + name
    elif isinstance(kept, list) and isinstance(known, list | tuple):
        for one, other in zip(kept, known, strict=False):
            yield from _unknown(one, other, path)

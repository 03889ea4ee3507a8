"""All faults of a body by its type. msgspec alone would stop at the first fault.

A body's type is its only description. `Walk` compares the type with the value field by field, and gives a fault with
the allowed values for each mismatch. `Meta(extra={...})` adds what a type cannot express: `form` is a pattern in words,
`hint` ends the message of a limit, and `check` is a function that raises Invalid. A struct can also have `old_names`
(old name → new name) and its own `check`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from msgspec import inspect

from relay.api.json_text import RepeatedKeys
from relay.api.schemas.checks import Policies
from relay.api.value_faults import (
    Extra,
    Path,
    bare,
    character_faults,
    describe,
    json_kind,
    length_faults,
    number_faults,
    one_of,
    size_faults,
    takes,
    text_faults,
    unknown_key,
    wrong_kind,
)
from relay.errors import Fault, Invalid

Check = Callable[[Any, Path, Policies], None]
"""(value, path, policies): raises Invalid if a value has the right type and is wrong."""

type_of = lru_cache(maxsize=None)(inspect.type_info)


@dataclass(frozen=True, slots=True)
class Walk:
    """A comparison of a body with its type. Without policies, the checks that types and structs have do not run."""

    policies: Policies | None

    def faults(self, kind: inspect.Type, value: Any, path: Path) -> Iterator[Fault]:
        """The faults of a value and of everything in it."""
        kind, extra = bare(kind)
        found = False
        for fault in self._form(kind, value, path, extra):
            found = True
            yield fault
        if not found and value is not None and (check := extra.get("check")):
            yield from self._checked(check, value, path)

    def _form(self, kind: inspect.Type, value: Any, path: Path, extra: Extra) -> Iterator[Fault]:
        given = json_kind(value)
        if isinstance(kind, inspect.AnyType):
            yield from self._anything(value, path)
            return
        options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
        fitting = [option for option in options if takes(option, given)]
        if not fitting:
            yield wrong_kind(options, given, path)
        elif len(fitting) > 1:  # All are structs: msgspec allows no other types of the same JSON kind.
            yield from self._tagged([cast(inspect.StructType, bare(option)[0]) for option in fitting], value, path)
        elif fitting[0] is kind:
            yield from self._plain(kind, value, path, extra)
        else:
            yield from self.faults(fitting[0], value, path)

    def _plain(self, kind: inspect.Type, value: Any, path: Path, extra: Extra) -> Iterator[Fault]:
        match kind:
            case inspect.StructType():
                yield from self._tagged([kind], value, path) if kind.tag_field else self._struct(kind, value, path)
            case inspect.DictType():
                yield from self._dict(kind, value, path, extra)
            case inspect.ListType():
                yield from length_faults(kind, value, path, ("entry", "entries"), extra)
                for at, item in enumerate(value):
                    yield from self.faults(kind.item_type, item, (*path, at))
            case inspect.StrType():
                yield from text_faults(kind, value, path, extra)
            case inspect.LiteralType() if value not in kind.values:
                yield Fault(path, f"must be {one_of(kind.values)}")
            case inspect.IntType() | inspect.FloatType():
                yield from number_faults(kind, value, path)

    def _struct(self, kind: inspect.StructType, value: dict[str, Any], path: Path) -> Iterator[Fault]:
        found = False
        # A generator, because the caller stops after some faults, however many keys the body has.
        for fault in self._in_struct(kind, value, path):
            found = True
            yield fault
        if not found and (check := getattr(kind.cls, "check", None)):
            yield from self._checked(check, value, path)

    def _in_struct(self, kind: inspect.StructType, value: dict[str, Any], path: Path) -> Iterator[Fault]:
        fields = {field.encode_name: field for field in kind.fields}
        known = [*([kind.tag_field] if kind.tag_field else []), *fields]
        yield from _repeated(value, path)
        for name, field in fields.items():
            if name in value:
                yield from self.faults(field.type, value[name], (*path, name))
            elif field.required:
                yield Fault((*path, name), "is required", "missing")
        for old, new in getattr(kind.cls, "old_names", {}).items():
            if old in value and new in value and value[old] != value[new]:
                yield Fault((*path, old), f"is the old name of `{new}`: send one of them, or the same value in both")
        yield from (unknown_key(name, known, path) for name in value if name not in known)

    def _tagged(self, kinds: list[inspect.StructType], value: dict[str, Any], path: Path) -> Iterator[Fault]:
        """Objects whose type is in a field."""
        field, wanted = str(kinds[0].tag_field), {kind.tag: kind for kind in kinds}
        tag, place = value.get(field), (*path, field)
        if field not in value:
            yield Fault(place, f"is required: it must be {one_of(wanted)}", "missing")
        elif not isinstance(tag, str):
            yield Fault(place, f"must be {one_of(wanted)}, not {describe(json_kind(tag))}", "type_error")
        elif tag not in wanted:
            yield Fault(place, f"must be {one_of(wanted)}")
        else:
            yield from self._struct(wanted[tag], value, path)

    def _dict(self, kind: inspect.DictType, value: dict[str, Any], path: Path, extra: Extra) -> Iterator[Fault]:
        yield from _repeated(value, path)
        yield from length_faults(kind, value, path, ("key", "keys"), extra)
        for name, inner in value.items():
            key, key_extra = bare(kind.key_type)
            for fault in text_faults(cast(inspect.StrType, key), name, (*path, name), key_extra):
                yield Fault(fault.path, f"is not a valid key: it {fault.message}")
            yield from self.faults(kind.value_type, inner, (*path, name))

    def _anything(self, value: Any, path: Path) -> Iterator[Fault]:
        match value:
            case dict():
                yield from _repeated(value, path)
                for name, inner in value.items():
                    yield from character_faults(name, (*path, name))
                    yield from self._anything(inner, (*path, name))
            case list():
                for at, inner in enumerate(value):
                    yield from self._anything(inner, (*path, at))
            case str():
                yield from character_faults(value, path)
            case int() | float():
                yield from size_faults(value, path)

    def _checked(self, check: Check, value: Any, path: Path) -> Iterator[Fault]:
        if self.policies is None:
            return
        try:
            check(value, path, self.policies)
        except Invalid as error:
            yield from error.faults


def _repeated(value: dict[str, Any], path: Path) -> Iterator[Fault]:
    if isinstance(value, RepeatedKeys):
        for name in value.repeated:
            yield Fault((*path, name), "is given more than once in this object")

"""How structs are kept: a byte with the version of their form, then MessagePack. A release reads the one before it."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from relay.errors import Unreadable

T = TypeVar("T", bound=msgspec.Struct)

_encode = msgspec.msgpack.Encoder().encode


class Packing(Generic[T]):
    """Packs and reads one kind of struct."""

    def __init__(
        self,
        struct: type[T],
        *,
        version: int,
        before: Mapping[int, Callable[[bytes], T]] | None = None,
        added: Collection[str] = (),
    ) -> None:
        """`version` is what is written; `before` has a reader for each older version that is still read.

        `added` are fields that the release before does not know. They are left out while they have their defaults, so
        that it writes what it read, byte for byte.
        """
        self._name = struct.__name__
        self._added = tuple(added)
        self._defaults = {each.name: each.default for each in msgspec.structs.fields(struct) if each.name in added}
        self._head = bytes([version])
        self._readers: dict[int, Callable[[Any], T]] = {
            version: msgspec.msgpack.Decoder(struct).decode,
            **(before or {}),
        }

    def pack(self, value: T) -> bytes:
        """The form that is stored."""
        if not self._added:
            return self._head + _encode(value)
        usual = {name for name, default in self._defaults.items() if getattr(value, name) == default}
        fields = msgspec.structs.asdict(value)
        return self._head + _encode({name: each for name, each in fields.items() if name not in usual})

    def as_stored(self, value: T, stored: bytes | None) -> bytes:
        """The bytes of a value that is compared with what is stored, and then replaced.

        Another release can have stored the same value in another form: then it is that form.
        """
        with suppress(Unreadable):
            if stored and self.unpack(stored) == value:
                return stored
        return self.pack(value)

    def unpack(self, packed: bytes) -> T:
        """Read what `pack` wrote, in this release or the one before. Raises Unreadable."""
        if not packed or packed[0] not in self._readers:
            raise Unreadable(f"{self._name} has a form that this release does not know")
        try:
            return self._readers[packed[0]](memoryview(packed)[1:])
        except msgspec.MsgspecError as error:
            raise Unreadable(f"{self._name} is damaged: {error}") from error

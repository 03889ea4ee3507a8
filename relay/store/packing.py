"""How structs are kept: a byte with the version of their form, then MessagePack. A release reads the one before it."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from relay.errors import Unreadable

T = TypeVar("T", bound=msgspec.Struct)

_encode = msgspec.msgpack.Encoder().encode


class Packing(Generic[T]):
    """Packs and reads one kind of struct."""

    def __init__(
        self, struct: type[T], *, version: int, before: Mapping[int, Callable[[bytes], T]] | None = None
    ) -> None:
        """`version` is what is written; `before` has a reader for each older version that is still read."""
        self._name = struct.__name__
        self._head = bytes([version])
        self._readers: dict[int, Callable[[Any], T]] = {
            version: msgspec.msgpack.Decoder(struct).decode,
            **(before or {}),
        }

    def pack(self, value: T) -> bytes:
        """The form that is stored."""
        return self._head + _encode(value)

    def unpack(self, packed: bytes) -> T:
        """Read what `pack` wrote, in this release or the one before. Raises Unreadable."""
        if not packed or packed[0] not in self._readers:
            raise Unreadable(f"{self._name} has a form that this release does not know")
        try:
            return self._readers[packed[0]](memoryview(packed)[1:])
        except msgspec.MsgspecError as error:
            raise Unreadable(f"{self._name} is damaged: {error}") from error

"""Iterators of lists that say where several things stand: JSON that nobody has to understand."""

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from relay.errors import Fault, Invalid, Unreadable
from relay.store.vault import Vault

T = TypeVar("T")


def write_iterator(place: Any) -> str:
    """A place as text that needs no escaping in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_iterator(iterator: str, kind: type[T]) -> T:
    """The place that was written. Raises Invalid when it is none of ours."""
    try:
        padded = iterator + "=" * (-len(iterator) % 4)
        place = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not _is_small(place):
            raise ValueError("no list gives numbers that 64 bits can't hold")
        return msgspec.convert(place, type=kind)
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError):
        raise refused() from None


class SealedIterators:
    """Iterators that show nothing: of lists whose places lead past things of others.

    `context` is the list, and for whom it is: an iterator opens there only.
    """

    def __init__(self, vault: Vault, context: str) -> None:
        self._vault = vault
        self._context = f"iterator|{context}"

    def write(self, place: Any) -> str:
        """A place as text that needs no escaping in a URL."""
        return self._vault.seal(msgspec.json.encode(place), self._context).replace("=", "")

    def read(self, iterator: str, kind: type[T]) -> T:
        """The place that was written. Raises Invalid when it is none of ours."""
        try:
            padded = ".".join(part + "=" * (-len(part) % 4) for part in iterator.split(".", 3)[2:])
            start = ".".join(iterator.split(".", 3)[:2])
            return msgspec.json.decode(self._vault.open(f"{start}.{padded}", self._context), type=kind)
        except (Unreadable, msgspec.MsgspecError, ValueError):
            raise refused() from None


def refused() -> Invalid:
    """The fault of an iterator that a list did not give."""
    return Invalid(Fault(("query", "iterator"), "must be the iterator or prevIterator of a page of this list"))


def _is_small(place: Any) -> bool:
    if isinstance(place, dict):
        return all(map(_is_small, place.values()))
    if isinstance(place, list):
        return all(map(_is_small, place))
    return not isinstance(place, int) or -(2**63) <= place < 2**63

"""Erasures: what the relay keeps of a person who was erased, so that rows that come again do not bring the person back.

An erasure has keyed hashes of the spellings of an identity, and never the identity. It covers what had happened when it
was asked for: later rows are new data.
"""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

from relay.domain.erasing import Identity, is_by
from relay.domain.erasing_task import Found
from relay.domain.model import SourceUid, StoredEvent, Struct
from relay.domain.spellings import Kind, Lengths, found_in, found_in_json

DIGEST_BYTES = 16
KEY_BYTES = 32


class Erasure(Struct, frozen=True, kw_only=True):
    """What is kept of one."""

    id: str
    kind: Kind
    digests: tuple[str, ...]
    """The keyed hash (hex) of each spelling of the identity."""
    lengths: Lengths
    """How long these spellings are."""
    key: str
    """The key (hex) of the hashes. Erasures have it in common, so that a spelling is hashed once for all of them."""
    until_ms: int
    """It covers what had happened by then."""
    sources: tuple[SourceUid, ...] | None = None
    """None: rows of every source are covered."""
    by: str = ""
    """The id of the API key that asked for it, or `admin`; '': an older release wrote it."""
    found: Found | None = None
    """What was erased. None: the task has not finished, or an older release wrote it."""
    updated_at_ms: int = 0


def erasure_of(
    identity: Identity,
    erasure_id: str,
    *,
    key: str,
    until_ms: int,
    sources: tuple[SourceUid, ...] | None,
    by: str = "",
) -> Erasure:
    """What is to be kept of an identity."""
    spellings, secret = sorted(identity.spellings), bytes.fromhex(key)
    return Erasure(
        id=erasure_id,
        kind=identity.kind,
        digests=tuple(_digest(secret, identity.kind, each).hex() for each in spellings),
        lengths=identity.lengths,
        key=key,
        until_ms=until_ms,
        sources=sources,
        by=by,
        updated_at_ms=until_ms,
    )


class Erased:
    """Whom rows must not bring back, in a form that they are compared with."""

    def __init__(self, erasures: Iterable[Erasure]) -> None:
        of_key = defaultdict[bytes, dict[bytes, list[Erasure]]](lambda: defaultdict[bytes, list[Erasure]](list))
        lengths = Lengths()
        for each in erasures:
            for digest in each.digests:
                of_key[bytes.fromhex(each.key)][bytes.fromhex(digest)].append(each)
            lengths = Lengths(*(one | other for one, other in zip(lengths, each.lengths, strict=True)))
        self._of_key = tuple(of_key.items())
        self._lengths = lengths

    def covers(self, source: SourceUid, event: StoredEvent) -> bool:
        """Whether the event of a row is about somebody who was erased after it happened."""
        found = found_in_json(b"{" + event.body, self._lengths, self._known)
        until_ms = [each.until_ms for some in found for each in some if each.sources is None or source in each.sources]
        return bool(until_ms) and is_by(event, max(until_ms))

    def is_in_line(self, source: SourceUid, line: str) -> bool:
        """Whether a line that cannot be read contains somebody who was erased. Nobody knows when it happened."""
        found = found_in(line, self._lengths, self._known)
        return any(each.sources is None or source in each.sources for some in found for each in some)

    def _known(self, kind: Kind, spelling: str) -> list[Erasure] | None:
        found = [each for key, erasures in self._of_key for each in erasures.get(_digest(key, kind, spelling), ())]
        return found or None


def _digest(key: bytes, kind: Kind, spelling: str) -> bytes:
    return blake2b(f"{kind}|{spelling}".encode(), key=key, digest_size=DIGEST_BYTES).digest()

"""Checkpoints at their place: sealed, in two copies by turns, so that a torn one leaves the one before it.

`checkpoint-0` and `checkpoint-1` are heads, and `configuration-…` what they name. A head is written after its
configuration, and a configuration is deleted when neither head names it.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import structlog

from relay.concurrency import all_of
from relay.domain.checkpoint import MOST_BYTES, Head, SavedConfiguration, pack, unpack
from relay.domain.epoch import Epoch
from relay.errors import CheckpointRefused, SealedByAnother, Unreadable
from relay.store.vault import Vault

if TYPE_CHECKING:
    from relay.outbound.objects import Objects

log = structlog.get_logger()

T = TypeVar("T", Head, SavedConfiguration)

SLOTS = ("checkpoint-0", "checkpoint-1")
CONFIGURATION = "configuration-"
MOST_HEAD_BYTES = 2**26
"""64 MiB: the marks of a hundred thousand sources take a tenth of it."""
IN_PLACE_BYTES = 2**16
"""What is larger is opened in a thread, so that callbacks do not wait for it."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads that can be read, by their slots."""

    found: Mapping[str, Head]
    torn: Mapping[str, str] = field(default_factory=dict)
    """Why others can't be read, by their slots."""

    @property
    def epoch(self) -> Epoch | None:
        """The epoch of the newest; None: there is no checkpoint."""
        return None if self.newest is None else self.newest.epoch

    @property
    def newest(self) -> Head | None:
        """The newest; None: there is no checkpoint."""
        # Of two epochs the later one descends from the other. Their times would tell the same, if clocks were right.
        newest: Head | None = None
        for head in self.found.values():
            if newest is None or _is_newer(head, newest):
                newest = head
        return newest


class Checkpoints:
    """Reads and writes checkpoints."""

    def __init__(self, objects: "Objects", vault: Vault) -> None:
        self._objects = objects
        self._vault = vault
        self._torn: set[str] = set()
        self._stale: set[str] = set()

    @property
    def url(self) -> str:
        """Where they are."""
        return self._objects.url

    @property
    def sealing(self) -> str:
        """The id of the key that seals what is written now."""
        return self._vault.sealing

    async def has(self, name: str) -> bool:
        """Whether an object is there. Raises CheckpointUnavailable."""
        return await self._objects.has(name)

    async def heads(self) -> Heads:
        """The heads that there are. Raises CheckpointUnavailable, or CheckpointRefused if they are another relay's."""
        contents = await all_of(*(self._objects.read(slot, most_bytes=MOST_HEAD_BYTES) for slot in SLOTS))
        found, torn = dict[str, Head](), dict[str, str]()
        for slot, content in zip(SLOTS, contents, strict=True):
            if content is None:
                continue
            try:
                found[slot] = await self._open(slot, content, Head)
            except SealedByAnother:
                raise CheckpointRefused(
                    f"the checkpoint at {self.url} is sealed with a key that is not in RELAY_ENCRYPTION_KEY: it is "
                    "another relay's, or the key was changed. Add the old key behind the new one, separated by a "
                    "comma, or set RELAY_CHECKPOINT_URL to a place that no other relay uses"
                ) from None
            except Unreadable as error:
                torn[slot] = str(error)
        for slot in torn.keys() - self._torn:
            log.error("checkpoint_damaged", object=slot, reason=torn[slot], used=sorted(found) or None)
        self._torn = set(torn)
        return Heads(found, torn)

    async def configuration(self, head: Head) -> SavedConfiguration:
        """The configuration that a head names. Raises CheckpointUnavailable, or CheckpointRefused."""
        content = await self._objects.read(head.configuration, most_bytes=MOST_BYTES)
        try:
            if content is None:
                raise Unreadable("it is not there")
            return await self._open(head.configuration, content, SavedConfiguration)
        except Unreadable as error:
            raise CheckpointRefused(
                f"{self.url}/{head.configuration} can't be read ({error}), so the configuration can't be restored. "
                "Put an earlier version of it there, or delete the checkpoint to do without"
            ) from None

    async def write_configuration(self, saved: SavedConfiguration) -> str:
        """Write a configuration under a name of its own, for heads to come; gives it. Raises CheckpointUnavailable."""
        name = f"{CONFIGURATION}{saved.version}-{secrets.token_hex(4)}"
        await self._objects.write(name, await asyncio.to_thread(self._sealed, name, saved))
        return name

    async def write_head(self, head: Head, heads: Heads) -> None:
        """Write a head over the older one of those that stand there. Raises CheckpointUnavailable."""
        slot = next(slot for slot in SLOTS if heads.newest is None or heads.found.get(slot) is not heads.newest)
        content = await asyncio.to_thread(self._sealed, slot, head)
        await self._objects.write(slot, content)

    async def drop_unused(self, used: set[str]) -> None:
        """Delete configurations that no head names, and that were not named last time either.

        Another process may have written one a moment ago, whose head is on its way. Raises CheckpointUnavailable.
        """
        names = {name for name in await self._objects.names() if name.startswith(CONFIGURATION)} - used
        for name in names & self._stale:
            await self._objects.delete(name)
        self._stale = names - self._stale

    def _sealed(self, name: str, part: Head | SavedConfiguration) -> bytes:
        return self._vault.seal(pack(part), _context(name)).encode()

    async def _open(self, name: str, content: bytes, kind: type[T]) -> T:
        def opened() -> T:
            return unpack(self._vault.open(content.decode("ascii", "replace"), _context(name)), kind)

        return opened() if len(content) < IN_PLACE_BYTES else await asyncio.to_thread(opened)


def _context(name: str) -> str:
    """What a part is sealed for: under another name it can't be opened."""
    return f"checkpoint|{name}"


def _is_newer(head: Head, than: Head) -> bool:
    if head.epoch.id == than.epoch.id:
        return head.epoch.beats > than.epoch.beats
    if head.epoch.descends_from(than.epoch) or than.epoch.descends_from(head.epoch):
        return head.epoch.descends_from(than.epoch)
    return head.at_ms > than.at_ms

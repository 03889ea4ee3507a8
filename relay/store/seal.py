"""A seal that tells at the start whether RELAY_ENCRYPTION_KEY opens what is stored."""

from collections.abc import Iterable

from redis.asyncio import Redis

from relay.errors import Unreadable
from relay.store import keys
from relay.store.configuration import Configuration, UnreadableRecord
from relay.store.key_ages import KeyAges
from relay.store.vault import Vault

CONTEXT = "seal"
TEXT = b"relay"
DO = (
    "Set RELAY_ENCRYPTION_KEY to the key that sealed it. To change keys, put the new one first and keep the old one "
    "behind it, separated by a comma"
)


class Seal:
    """One sealed text of its own in the store, which every process tries to open before it works."""

    def __init__(self, redis: Redis, vault: Vault, configuration: Configuration) -> None:
        self._redis = redis
        self._vault = vault
        self._configuration = configuration
        self._ages = KeyAges(redis, vault)
        self._opened = False
        """Whether this process has seen that the key opens records."""

    async def trouble(self) -> str | None:
        """What is wrong with the key, with a record that can't be opened; None: it is right. Raises StoreUnavailable.

        Where the key opens some records and not others, the others are set aside when they are read: see `locked`. The
        records are asked even if the key opens the seal: it may have sealed that, and none of them.
        """
        kept = await self._redis.get(keys.SEAL)
        text = kept.decode("ascii", "replace") if kept is not None else ""
        opens = self._opens(text)
        if not (opens and self._opened):
            changes = await self._configuration.changes(0)
            # Every source and every endpoint has sealed fields.
            if not changes.sources and not changes.endpoints and (trouble := locked(changes.unreadable)):
                return trouble
            self._opened = True
        if not (opens and self._vault.is_current(text)):
            await self._redis.set(keys.SEAL, self._vault.seal(TEXT, CONTEXT))
        await self._ages.note()
        return None

    def _opens(self, sealed: str) -> bool:
        try:
            return self._vault.open(sealed, CONTEXT) == TEXT
        except Unreadable:
            return False


def locked(unreadable: Iterable[UnreadableRecord]) -> str | None:
    """Which records no key of RELAY_ENCRYPTION_KEY opens, and what to do; None: there are none of these."""
    found = [record for record in unreadable if "RELAY_ENCRYPTION_KEY" in record.why]
    if not found:
        return None
    more = {0: "", 1: ", and one more record"}.get(len(found) - 1, f", and {len(found) - 1} more records")
    return f"RELAY_ENCRYPTION_KEY can't open the {found[0].kind} {found[0].id}{more}. {DO}"

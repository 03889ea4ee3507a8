"""A seal that tells at the start whether RELAY_ENCRYPTION_KEY opens what is stored."""

from redis.asyncio import Redis

from relay.errors import Unreadable
from relay.store import keys
from relay.store.configuration import Configuration
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

    async def trouble(self) -> str | None:
        """What is wrong with the key, with a record that can't be opened; None: it is right. Raises StoreUnavailable.

        Where the key opens some records and not others, the others are set aside when they are read.
        """
        kept = await self._redis.get(keys.SEAL)
        if kept is not None and self._opens(kept.decode("ascii", "replace")):
            if not self._vault.is_current(kept.decode()):
                await self._redis.set(keys.SEAL, self._vault.seal(TEXT, CONTEXT))
            return None
        changes = await self._configuration.changes(0)
        locked = [record for record in changes.unreadable if "RELAY_ENCRYPTION_KEY" in record.why]
        # Every source and every endpoint has sealed fields.
        if locked and not changes.sources and not changes.endpoints:
            first = locked[0]
            more = f", and {len(locked) - 1} more records" if len(locked) > 1 else ""
            return f"RELAY_ENCRYPTION_KEY can't open the {first.kind} {first.id}{more}. {DO}"
        await self._redis.set(keys.SEAL, self._vault.seal(TEXT, CONTEXT))
        return None

    def _opens(self, sealed: str) -> bool:
        try:
            return self._vault.open(sealed, CONTEXT) == TEXT
        except Unreadable:
            return False

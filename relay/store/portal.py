"""Tokens of subscribers in the portal, and the codes that are exchanged for them, once.

A token is an API key of one application that is gone when it expires. An application has a bounded number of them.
Codes are kept by their digests, and tokens sealed, so that the store gives nobody access.
"""

import hashlib
from collections.abc import Collection

import msgspec
from redis.asyncio import Redis

from relay.domain.model import ApplicationId
from relay.domain.portal import CODE_LIVES_S, LONGEST_S
from relay.domain.principals import ApiKey, KeyId
from relay.errors import Unreadable
from relay.store.api_keys import new_secret
from relay.store.request_keys import portal_code, portal_token, portal_tokens
from relay.store.vault import Vault

TOKENS_MOST = 1_000
"""Tokens of one application that work at a time. A further one ends the one that would expire first."""


class PortalTokens:
    """All of them, and their codes."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._vault = vault

    async def find(self, token: KeyId) -> ApiKey | None:
        """Read one by its id; None: it has expired, or was ended. Raises Unreadable."""
        sealed = await self._redis.get(portal_token(token))
        if sealed is None:
            return None
        plain = self._vault.open(sealed.decode("ascii", "replace"), _context(token))
        try:
            return msgspec.json.decode(plain, type=ApiKey)
        except msgspec.MsgspecError as error:
            raise Unreadable(f"portal token {token} is damaged: {error}") from None

    async def create(self, key: ApiKey, text: str, *, now_ms: int) -> str:
        """Keep a token, whose text is `text`; gives the code that is exchanged for it, once.

        `key` has an application and an expiry. Raises StoreUnavailable.
        """
        assert key.app_id is not None and key.expires_at_ms is not None  # noqa: S101, PT018
        code, listed = new_secret(), portal_tokens(key.app_id)
        lives_ms = max(1, key.expires_at_ms - now_ms)
        sealed = self._vault.seal(msgspec.json.encode(key), _context(key.id))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(listed, "-inf", now_ms)
            pipe.set(portal_token(key.id), sealed, px=lives_ms)
            pipe.zadd(listed, {f"{key.id} {key.session}": key.expires_at_ms})
            pipe.pexpire(listed, LONGEST_S * 1000)
            pipe.set(
                portal_code(_digest(code)),
                self._vault.seal(text.encode(), "portal code"),
                px=min(lives_ms, CODE_LIVES_S * 1000),
            )
            pipe.zcard(listed)
            many = (await pipe.execute())[-1] - TOKENS_MOST
        if many > 0:
            await self._end(key.app_id, [each.decode() for each in await self._redis.zrange(listed, 0, many - 1)])
        return code

    async def exchange(self, code: str) -> str | None:
        """The text of the token that a code stands for. It works once. None: it was exchanged, or has expired.

        Raises Unreadable.
        """
        sealed = await self._redis.getdel(portal_code(_digest(code)))
        if sealed is None:
            return None
        return self._vault.open(sealed.decode("ascii", "replace"), "portal code").decode()

    async def end(self, key: ApiKey) -> None:
        """End a token at once. Raises StoreUnavailable."""
        if key.app_id is not None:
            await self._end(key.app_id, [f"{key.id} {key.session}"])

    async def end_all(
        self, application: ApplicationId, *, sessions: Collection[str] | None, within_ms: int, now_ms: int
    ) -> None:
        """End the tokens of an application, or those of some sessions, at once or in some time.

        A token that expires sooner is not changed. Raises StoreUnavailable.
        """
        listed = portal_tokens(application)
        found = [each.decode("utf-8", "replace") for each in await self._redis.zrange(listed, 0, -1)]
        chosen = [each for each in found if sessions is None or each.partition(" ")[2] in sessions]
        if not within_ms:
            await self._end(application, chosen)
            return
        async with self._redis.pipeline(transaction=True) as pipe:
            for member in chosen:
                pipe.execute_command("PEXPIRE", portal_token(member.partition(" ")[0]), within_ms, "LT")
                pipe.zadd(listed, {member: now_ms + within_ms}, xx=True, lt=True)
            if chosen:
                await pipe.execute()

    async def _end(self, application: ApplicationId, members: Collection[str]) -> None:
        # The tokens first: a member that is left leads to nothing.
        async with self._redis.pipeline(transaction=True) as pipe:
            for member in members:
                pipe.delete(portal_token(member.partition(" ")[0]))
                pipe.zrem(portal_tokens(application), member)
            if members:
                await pipe.execute()


def _context(token: str) -> str:
    return f"portal token|{token}"


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()

"""Keeps access tokens for all workers, and new refresh tokens in the records of their endpoints."""

import msgspec
from msgspec import structs

from relay.domain.credentials import EndpointAuth, Granted, RefreshToken
from relay.domain.model import EndpointId
from relay.errors import NotFound, Unreadable
from relay.outbound.tokens.model import Token
from relay.store.endpoints import Endpoints
from relay.store.tokens import SharedTokens


class TokenKeeping:
    """A relay.outbound.tokens.keeping.Keeper over the store."""

    def __init__(self, tokens: SharedTokens, endpoints: Endpoints) -> None:
        self._tokens, self._endpoints = tokens, endpoints

    def name_of(self, auth: Granted) -> str:
        """A short name of credentials."""
        return self._tokens.name_of(auth)

    async def find(self, name: str) -> tuple[Token, float] | None:
        """The token that any worker got, and how many seconds it is still fresh."""
        if (found := await self._tokens.find(name)) is None:
            return None
        try:
            return msgspec.json.decode(found[0], type=Token), found[1]
        except msgspec.DecodeError:  # Of another release.
            return None

    async def share(self, name: str, token: Token, *, fresh_s: float) -> None:
        """Keep a token for all workers."""
        await self._tokens.put(name, msgspec.json.encode(token), fresh_s=fresh_s)

    async def lock(self, name: str) -> str | None:
        """The right to get a token, for a while; None: another worker has it."""
        return await self._tokens.begin(name)

    async def unlock(self, name: str, holder: str) -> None:
        """Give the right back, if it did not end."""
        await self._tokens.end(name, holder)

    async def newest(self, endpoint: EndpointId, auth: RefreshToken) -> RefreshToken | None:
        """The credentials as they are stored; None: the endpoint's owner has replaced them."""
        try:
            stored = (await self._endpoints.named(endpoint)).auth
        except (NotFound, Unreadable):
            return None
        return stored if isinstance(stored, RefreshToken) and _is_same(stored, auth) else None

    async def rotate(self, endpoint: EndpointId, used: RefreshToken, new: str) -> bool:
        """Store a new refresh token, unless the endpoint's owner has replaced the one that was used."""

        def rotated(auth: EndpointAuth | None) -> EndpointAuth | None:
            if isinstance(auth, RefreshToken) and auth.refresh_token == used.refresh_token:
                return structs.replace(auth, refresh_token=new)
            return auth

        try:
            stored = await self._endpoints.rotate(endpoint, rotated)
        except (NotFound, Unreadable):
            return False
        return isinstance(stored, RefreshToken) and stored.refresh_token == new


def _is_same(one: RefreshToken, other: RefreshToken) -> bool:
    return structs.replace(one, refresh_token="") == structs.replace(other, refresh_token="")

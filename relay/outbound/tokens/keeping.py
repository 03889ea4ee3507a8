"""Where tokens are kept that workers have in common."""

from typing import Protocol

from relay.domain.credentials import Granted, RefreshToken
from relay.domain.model import EndpointId
from relay.outbound.tokens.model import Token


class Keeper(Protocol):
    """Keeps tokens, and lets one worker at a time get one. `name` is `name_of` the credentials.

    Everything raises RelayError while that is impossible.
    """

    def name_of(self, auth: Granted) -> str:
        """A short name of credentials, which says nothing of them. A refresh token keeps it when it is replaced."""
        ...

    async def find(self, name: str) -> tuple[Token, float] | None:
        """The token that any worker got, and how many seconds it is still fresh."""
        ...

    async def share(self, name: str, token: Token, *, fresh_s: float) -> None:
        """Keep a token for all workers."""
        ...

    async def lock(self, name: str) -> str | None:
        """The right to get a token, for a while; None: another worker has it."""
        ...

    async def unlock(self, name: str, holder: str) -> None:
        """Give the right back, if it did not end."""
        ...

    async def newest(self, endpoint: EndpointId, auth: RefreshToken) -> RefreshToken | None:
        """The credentials with the newest refresh token; None: the endpoint's owner has replaced them."""
        ...

    async def rotate(self, endpoint: EndpointId, used: RefreshToken, new: str) -> bool:
        """Keep a new refresh token in place of the one that was used; False: the owner has replaced that."""
        ...


class Alone:
    """Keeps nothing: each worker gets its own tokens. For tests, and for tools that send without a store."""

    def name_of(self, auth: Granted) -> str:
        """The credentials themselves, in memory only."""
        return repr([(name, getattr(auth, name)) for name in auth.__struct_fields__ if name != "refresh_token"])

    async def find(self, name: str) -> tuple[Token, float] | None:
        """Nothing."""

    async def share(self, name: str, token: Token, *, fresh_s: float) -> None:
        """Nothing."""

    async def lock(self, name: str) -> str | None:
        """Always."""
        return "alone"

    async def unlock(self, name: str, holder: str) -> None:
        """Nothing."""

    async def newest(self, endpoint: EndpointId, auth: RefreshToken) -> RefreshToken | None:
        """The same."""
        return auth

    async def rotate(self, endpoint: EndpointId, used: RefreshToken, new: str) -> bool:
        """Refuse: a new refresh token would be lost."""
        return False

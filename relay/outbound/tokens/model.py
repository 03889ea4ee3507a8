"""What tokens are, and why there is none."""

from dataclasses import dataclass
from typing import Literal

import msgspec

Why = Literal["failed", "final", "ours"]
"""`failed`: a later attempt can succeed. `final`: the credentials are of no use any more. `ours`: the endpoint and its
servers have no part in it."""


class Token(msgspec.Struct, frozen=True):
    """An access token, as it is sent and kept."""

    authorization: str
    """The value of the header."""
    base_url: str = ""
    """Where the token is to be used, as the authorization server said; empty: at the endpoint's own server."""

    def __repr__(self) -> str:
        return "Token(…)"


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """What an authorization server gave."""

    token: Token
    fresh_s: float
    """How long the token is to be used."""
    refresh_token: str | None = None


class TokenRefused(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """No token could be had; the message is safe to show."""

    def __init__(self, message: str, why: Why = "failed", *, status: int = 0) -> None:
        super().__init__(message)
        self.why, self.status = why, status

"""What an authorization server's answer says. Nothing of its text is shown, because it can hold what it was sent."""

import msgspec

from relay.domain.credentials import Granted, RefreshToken
from relay.outbound.tokens.model import Issued, Token, TokenRefused

REFRESH_MARGIN_S = 60.0
"""A token is renewed this long before it ends, or after 4/5 of its life if that is shorter."""
DEFAULT_LIFE_S = 300.0
"""How long a token is used whose answer does not say how long it lives."""
LONGEST_LIFE_S = 30 * 86_400.0
LONGEST_TOKEN = 16_384
LONGEST_BASE_URL = 2_048

FINAL = frozenset({"invalid_grant", "invalid_client", "unauthorized_client"})
"""Errors that say that the credentials are of no use, until their owner changes something (RFC 6749 5.2)."""
KNOWN = FINAL | {"invalid_request", "unsupported_grant_type", "invalid_scope", "temporarily_unavailable"}


class _Answer(msgspec.Struct):
    """RFC 6749 5.1."""

    access_token: str
    token_type: str | None = None
    expires_in: float | str | None = None
    refresh_token: str | None = None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Error(msgspec.Struct):
    """RFC 6749 5.2."""

    error: str


def issued(auth: Granted, status: int, body: bytes) -> Issued:
    """The token that an answer has. Raises TokenRefused."""
    error = _error(body)
    if status not in (200, 201):
        told = f"the authorization server answered {status}" + (f" ({error})" if error else "")
        if error in FINAL and 400 <= status < 500:
            raise TokenRefused(f"the authorization server refuses the credentials: {error}", "final", status=status)
        raise TokenRefused(told, status=status)
    if error:
        # Zoho's answers have the status 200.
        raise TokenRefused(f"the authorization server answered {error}", "final" if error in FINAL else "failed")
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        life_s = _life_s(answer.expires_in)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise TokenRefused("the authorization server's answer is not a token") from None
    if not _is_of(auth, answer.token_type) or not _is_token(answer.access_token):
        raise TokenRefused("the authorization server's answer is not a bearer token")
    token = Token(f"{auth.scheme} {answer.access_token}", _base_url(auth, body))
    return Issued(token, max(life_s - REFRESH_MARGIN_S, life_s * 0.8, 1.0), _refresh_token(auth, answer))


def _error(body: bytes) -> str:
    """The error that an answer names, if it is a known one."""
    try:
        error = msgspec.json.decode(body, type=_Error).error
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""
    return error if error in KNOWN else ""


def _refresh_token(auth: Granted, answer: _Answer) -> str | None:
    new = answer.refresh_token
    if not isinstance(auth, RefreshToken) or not new or new == auth.refresh_token:
        return None
    if len(new) > LONGEST_TOKEN or not new.isprintable():
        raise TokenRefused("the authorization server's new refresh token is not a token")
    return new


def _base_url(auth: Granted, body: bytes) -> str:
    if auth.base_url_field is None:
        return ""
    try:
        # The other members are the server's own, and may have values that cannot be read.
        found = msgspec.json.decode(_MEMBERS.decode(body)[auth.base_url_field], type=str)
    except (KeyError, msgspec.MsgspecError, ValueError, RecursionError):
        found = ""
    if not 0 < len(found) <= LONGEST_BASE_URL:
        raise TokenRefused("the authorization server's answer has no base URL in the member that `baseUrlField` names")
    return found


def _is_of(auth: Granted, kind: str | None) -> bool:
    """Whether a kind of token is `Bearer`, as one likes to write it, or what the endpoint's owner says it is.

    `bearer`, `BearerToken`, `bearer_token` and nothing at all all mean that.
    """
    plain = (kind or "bearer").lower().replace("_", "").replace(" ", "").removesuffix("token")
    return plain == "bearer" or (kind or "").lower() == auth.scheme.lower()


def _life_s(expires_in: float | str | None) -> float:
    life_s = DEFAULT_LIFE_S if expires_in in (None, "") else float(expires_in or 0)
    # Neither a number that is none nor one that is too large: such a token is used for as long as others.
    return life_s if 0 < life_s <= LONGEST_LIFE_S else DEFAULT_LIFE_S


def _is_token(text: str) -> bool:
    """Whether it can stand in a header: RFC 6750 2.1, and what servers issue in addition."""
    return 0 < len(text) <= LONGEST_TOKEN and text.isascii() and text.isprintable() and " " not in text

"""Requests for tokens: client credentials, refresh tokens, and assertions that the relay signs (RFC 6749, 7523)."""

import base64
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import jwt

from relay.domain.credentials import Granted, JwtBearer, OAuth2, RefreshToken, ServiceAccount, TokenAuth
from relay.outbound.tokens.model import TokenRefused

TOKEN_DEADLINE_S = 10.0
ASSERTION_LIFE_S = 180
"""Salesforce takes three minutes, Google an hour."""
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token_request(auth: Granted, way: TokenAuth, *, now_s: int) -> httpx.Request:
    """The request for a token. `way` is where the client's credentials stand. Raises TokenRefused."""
    fields = _grant(auth, now_s)
    headers = [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("content-type", "application/x-www-form-urlencoded"),
    ]
    if isinstance(auth, OAuth2 | RefreshToken):
        if way == "body":
            fields |= {"client_id": auth.client_id, "client_secret": auth.client_secret}
        else:
            # RFC 6749 2.3.1: form-encoded before they are joined.
            pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"
            headers.append(("authorization", "Basic " + base64.b64encode(pair.encode()).decode()))
    return httpx.Request(
        "POST",
        auth.token_url,
        headers=headers,
        stream=httpx.ByteStream(urlencode(fields).encode()),
        extensions={"deadline_s": TOKEN_DEADLINE_S},
    )


def _grant(auth: Granted, now_s: int) -> dict[str, str]:
    match auth:
        case OAuth2():
            return {"grant_type": "client_credentials"} | _scope(auth.scope)
        case RefreshToken():
            return {"grant_type": "refresh_token", "refresh_token": auth.refresh_token} | _scope(auth.scope)
        case JwtBearer():
            claims = dict(auth.claims) | _claims(auth.issuer, auth.audience, auth.subject, now_s)
            assertion = _signed(claims, auth.private_key, auth.algorithm, auth.key_id)
            return {"grant_type": ASSERTION, "assertion": assertion} | _scope(auth.scope)
        case ServiceAccount():
            claims = _claims(auth.client_email, auth.token_url, auth.subject, now_s) | {"scope": " ".join(auth.scopes)}
            return {"grant_type": ASSERTION, "assertion": _signed(claims, auth.private_key, "RS256", auth.key_id)}


def _scope(scope: str | None) -> dict[str, str]:
    return {"scope": scope} if scope else {}


def _claims(issuer: str, audience: str, subject: str | None, now_s: int) -> dict[str, Any]:
    own = {"iss": issuer, "aud": audience, "iat": now_s, "exp": now_s + ASSERTION_LIFE_S, "jti": uuid.uuid4().hex}
    return own | ({"sub": subject} if subject else {})


def _signed(claims: Mapping[str, Any], private_key: str, algorithm: str, key_id: str | None) -> str:
    try:
        return jwt.encode(dict(claims), private_key, algorithm, headers={"kid": key_id} if key_id else None)
    except (jwt.PyJWTError, ValueError, TypeError):
        # What the library says can hold parts of the key.
        raise TokenRefused("the private key of `auth` cannot sign") from None

"""Credentials of callbacks, in addition to their signature: fixed ones, or tokens of an authorization server."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote_plus, urlencode

import httpx
import msgspec

from relay.domain.model import BasicAuth, Bearer, EndpointAuth, OAuth2
from relay.outbound.egress import READ_CAP_BYTES

REFRESH_MARGIN_S = 60.0
"""A token is renewed this long before it ends, or after 4/5 of its life if that is shorter."""

DEFAULT_LIFE_S = 300.0
"""How long a token is used whose answer does not say how long it lives."""

TOKEN_DEADLINE_S = 10.0

FAILURE_KEPT_S = 3.0
"""How long nothing is asked after a failure: an authorization server that is down gets no storm."""

LONGEST_LIFE_S = 30 * 86_400.0
NOT_THIS_WAY = frozenset({400, 401, 403})
"""An authorization server that wants the credentials in another place says so by one of these."""
MAX_TOKENS = 10_000

TokenAuth = Literal["basic", "body"]


class TokenRefused(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """No token could be had; the message is safe to show."""


class _TokenAnswer(msgspec.Struct):
    """RFC 6749 5.1."""

    access_token: str
    token_type: str | None = None
    expires_in: float | str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    value: str
    fresh_until: float
    failure: str = ""


def fixed_authorization(auth: EndpointAuth | None) -> str | None:
    """The value of `authorization` if it never changes."""
    match auth:
        case BasicAuth(username, password):
            return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        case Bearer(token):
            return f"Bearer {token}"
        case _:
            return None


class Tokens:
    """Access tokens by client credentials (RFC 6749 4.4), fetched once at a time and kept until about to end.

    The token URL goes through the same guarded transport as callbacks.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, *, clock: Callable[[], float] | None = None) -> None:
        self._transport = transport
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._tokens: dict[OAuth2, _Token] = {}
        self._running: dict[OAuth2, asyncio.Task[_Token]] = {}
        self._ways: dict[OAuth2, TokenAuth] = {}
        """Where the credentials of those worked that have no setting for it."""

    async def authorization(self, auth: OAuth2) -> str:
        """The value of `authorization`. Raises TokenRefused."""
        token = self._tokens.get(auth)
        if token is None or self._clock() >= token.fresh_until:
            token = await asyncio.shield(self._start(auth))
        if token.failure:
            raise TokenRefused(token.failure)
        return token.value

    def discard(self, auth: OAuth2, authorization: str) -> None:
        """Forget a token that the endpoint refused, unless it was renewed in between."""
        token = self._tokens.get(auth)
        if token is not None and token.value == authorization:
            del self._tokens[auth]

    def _start(self, auth: OAuth2) -> asyncio.Task[_Token]:
        if (task := self._running.get(auth)) is None:
            task = asyncio.create_task(self._fetch(auth))
            self._running[auth] = task
            task.add_done_callback(lambda done: self._finish(auth, done))
        return task

    def _finish(self, auth: OAuth2, task: asyncio.Task[_Token]) -> None:
        self._running.pop(auth, None)
        if task.cancelled() or task.exception() is not None:
            return
        self._tokens.pop(auth, None)
        self._tokens[auth] = task.result()
        if len(self._tokens) > MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]

    async def _fetch(self, auth: OAuth2) -> _Token:
        """Ask in the way that is set or worked before; else by Basic, and then in the body if that is refused."""
        ways: list[TokenAuth] = [auth.token_auth or self._ways.get(auth, "basic")]
        if auth.token_auth is None:
            ways.append("body" if ways[0] == "basic" else "basic")
        first: _Token | None = None
        for way in ways:
            token, status = await self._ask(auth, way)
            if not token.failure:
                self._ways[auth] = way
                if len(self._ways) > MAX_TOKENS:
                    del self._ways[next(iter(self._ways))]
                return token
            first = first or token
            if status not in NOT_THIS_WAY:
                break
        assert first is not None  # noqa: S101 - there is one way at least
        return first

    async def _ask(self, auth: OAuth2, way: TokenAuth) -> tuple[_Token, int]:
        """A token, or what is wrong, with the answer's status; 0: there was none."""
        asked_at = self._clock()
        try:
            response = await self._transport.handle_async_request(_token_request(auth, way))
            try:
                body = await _read(response)
            finally:
                await response.stream.aclose()  # type: ignore[union-attr]
        except httpx.TransportError as error:
            failure = f"the authorization server could not be asked: {error}"
            return _Token("", asked_at + FAILURE_KEPT_S, failure), 0
        return _judge(response.status_code, body, asked_at=asked_at), response.status_code


def _token_request(auth: OAuth2, way: TokenAuth) -> httpx.Request:
    fields = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
    headers = [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("content-type", "application/x-www-form-urlencoded"),
    ]
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


async def _read(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.stream:  # type: ignore[union-attr]
        body += chunk
        if len(body) >= READ_CAP_BYTES:
            break
    return body


def _judge(status: int, body: bytes, *, asked_at: float) -> _Token:
    if status not in (200, 201):
        return _Token("", asked_at + FAILURE_KEPT_S, f"the authorization server answered {status}")
    try:
        answer = msgspec.json.decode(body, type=_TokenAnswer)
        life_s = _life_s(answer.expires_in)
    except (msgspec.DecodeError, ValueError):
        return _Token("", asked_at + FAILURE_KEPT_S, "the authorization server's answer is not a token")
    if not _means_bearer(answer.token_type) or not _is_token(answer.access_token):
        return _Token("", asked_at + FAILURE_KEPT_S, "the authorization server's answer is not a bearer token")
    return _Token(f"Bearer {answer.access_token}", asked_at + max(life_s - REFRESH_MARGIN_S, life_s * 0.8, 1.0))


def _means_bearer(kind: str | None) -> bool:
    """`Bearer` as one likes to write it: `bearer`, `BearerToken`, `bearer_token`; nothing at all is that, too."""
    return (kind or "bearer").lower().replace("_", "").replace(" ", "").removesuffix("token") == "bearer"


def _life_s(expires_in: float | str | None) -> float:
    life_s = DEFAULT_LIFE_S if expires_in in (None, "") else float(expires_in or 0)
    # Neither a number that is none nor one that is too large: such a token is used for as long as others.
    return life_s if 0 < life_s <= LONGEST_LIFE_S else DEFAULT_LIFE_S


def _is_token(text: str) -> bool:
    """Whether it can stand in a header: RFC 6750 2.1, and what servers issue in addition."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text

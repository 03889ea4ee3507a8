"""An authorization server, as small as a test needs it: client credentials, refresh tokens and assertions."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import jwt


@dataclass(eq=False)
class TokenServer:
    """Issues `token-1`, `token-2`, …; answers with `answer` instead, if that is set. `asked` are the request heads."""

    port: int = 0
    lives_s: int | None = 3600
    answer: bytes = b""
    wants: str = ""
    """Where the credentials must be: `basic` or `body`; empty: anywhere."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What the answer says in place of, or beside, the usual."""
    refresh_token: str = ""
    """The only refresh token that is taken; empty: any."""
    rotates: bool = False
    """Each answer has a new refresh token: `refresh-1`, `refresh-2`, … If `refresh_token` is set, it replaces that."""
    public_key: str = ""
    """PEM: assertions must be signed with its private key. `claims` has what they said."""
    audience: str = ""
    claims: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """No answer is given until it is set, which it is at first."""

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/token"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request for a token."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:] if line)}
        body = (await reader.readexactly(int(fields["content-length"]))).decode()
        self.asked.append((fields.get("authorization", ""), body))
        await self.gate.wait()
        with contextlib.suppress(ConnectionError):
            writer.write(self.answer or self._answer({k: v[0] for k, v in parse_qs(body).items()}, body))
            await writer.drain()
        writer.close()

    def _answer(self, given: dict[str, str], body: str) -> bytes:
        if self.wants and ("client_secret=" in body) != (self.wants == "body"):
            return _response("401 Unauthorized", b"")
        if self.refresh_token and given.get("refresh_token") != self.refresh_token:
            return _response("400 Bad Request", b'{"error":"invalid_grant"}')
        if self.public_key and not self._is_signed(given.get("assertion", "")):
            return _response("400 Bad Request", b'{"error":"invalid_grant"}')
        number = len(self.asked)
        issued = {"access_token": f"token-{number}", "token_type": "bearer", "expires_in": self.lives_s}
        if self.rotates:
            issued["refresh_token"] = f"refresh-{number}"
            self.refresh_token = self.refresh_token and f"refresh-{number}"
        issued = {name: value for name, value in (issued | self.extra).items() if value != "absent"}
        return _response("200 OK", json.dumps(issued).encode())

    def _is_signed(self, assertion: str) -> bool:
        try:
            claims = jwt.decode(assertion, self.public_key, ["RS256", "ES256"], audience=self.audience)
        except jwt.PyJWTError:
            return False
        self.claims.append(claims | {"kid": jwt.get_unverified_header(assertion).get("kid")})
        return True


def _response(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@contextlib.asynccontextmanager
async def token_server() -> AsyncIterator[TokenServer]:
    """Run one on a free port of this machine."""
    tokens = TokenServer()
    server = await asyncio.start_server(tokens.serve, "127.0.0.1", 0)
    tokens.port = server.sockets[0].getsockname()[1]
    try:
        yield tokens
    finally:
        tokens.gate.set()
        server.close()

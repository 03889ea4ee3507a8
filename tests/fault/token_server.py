"""An authorization server for client credentials, as small as a test needs it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


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
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request for a token."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:] if line)}
        body = (await reader.readexactly(int(fields["content-length"]))).decode()
        self.asked.append((fields.get("authorization", ""), body))
        issued = {"access_token": f"token-{len(self.asked)}", "token_type": "bearer", "expires_in": self.lives_s}
        issued = {name: value for name, value in (issued | self.extra).items() if value != "absent"}
        payload = json.dumps(issued).encode()
        if self.wants and ("client_secret=" in body) != (self.wants == "body"):
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(
            self.answer or b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(payload)
        )
        writer.write(b"" if self.answer else payload)
        writer.close()


@contextlib.asynccontextmanager
async def token_server() -> AsyncIterator[TokenServer]:
    """Run one on a free port of this machine."""
    tokens = TokenServer()
    server = await asyncio.start_server(tokens.serve, "127.0.0.1", 0)
    tokens.port = server.sockets[0].getsockname()[1]
    try:
        yield tokens
    finally:
        server.close()

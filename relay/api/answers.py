"""An answer that is held back until something else is done, such as keeping it."""

from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Held:
    """The messages of one whole answer."""

    messages: list[Any]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.messages[0]["status"])

    @property
    def content_type(self) -> str:
        """The header; empty: there is none."""
        headers = {name.lower(): value for name, value in self.messages[0]["headers"]}
        return str(headers.get(b"content-type", b"").decode("latin-1"))

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    async def give(self, send: Send) -> None:
        """Let the client have it."""
        for message in self.messages:
            await send(message)


async def held(app: ASGIApp, scope: Scope, receive: Receive) -> Held:
    """Have a request answered, but for the sending."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return Held(messages)

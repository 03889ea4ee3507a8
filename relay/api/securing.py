"""Headers that every answer carries, whatever it is and whoever made it: a page, an error, an answer to a probe."""

from litestar.types import Message, Scope

from relay.api.docs import POLICY

HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
)


async def secure(message: Message, scope: Scope) -> None:
    """A hook that sees each message before it is sent. What an operation sets itself stays."""
    if message["type"] == "http.response.start":
        headers = list(message["headers"])
        there = {name.lower() for name, _ in headers}
        message["headers"] = [*headers, *(header for header in HEADERS if header[0] not in there)]

"""One line in the log for each change that was made through the API: what was called, and what came of it."""

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class ChangeLog(ASGIMiddleware):
    """Watches answers go by. Paths hold ids and uids; bodies and queries are not looked at."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on, and note it when it is answered."""
        method = str(scope.get("method"))
        if method in READING:
            await next_app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.info("api_change", method=method, path=scope["path"], status=int(message["status"]))
            await send(message)

        await next_app(scope, receive, noting)

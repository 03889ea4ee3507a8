"""One line in the log for each request that changes something: the operation and the status of the response."""

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class ChangeLog(ASGIMiddleware):
    """Logs the responses of requests. Paths contain ids and uids. Bodies and queries are not logged."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on, and log it when the response begins."""
        method = str(scope.get("method"))
        if method in READING:
            await next_app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.info("api_change", method=method, path=scope["path"], status=int(message["status"]))
            await send(message)

        await next_app(scope, receive, noting)

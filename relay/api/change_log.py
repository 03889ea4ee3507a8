"""The log of requests: the request's id in every line, and a line for each request that changes something."""

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from relay.api.access import PRINCIPAL
from relay.api.request_ids import request_id

log = structlog.get_logger()

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class ChangeLog(ASGIMiddleware):
    """Logs the responses of requests. Paths contain ids and uids. Bodies and queries are not logged."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on, and log it when the response begins."""
        with structlog.contextvars.bound_contextvars(request_id=request_id(scope)):
            if (method := str(scope.get("method"))) in READING:
                await next_app(scope, receive, send)
                return

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    principal = scope["state"].get(PRINCIPAL)
                    by = {"by": principal.id} if principal else {}
                    log.info("api_change", method=method, path=scope["path"], status=int(message["status"]), **by)
                await send(message)

            await next_app(scope, receive, noting)

"""The log of requests: the request's id in every line, and a line for each request that changes something."""

from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from relay.api.access import PRINCIPAL
from relay.api.request_ids import request_id

log = structlog.get_logger()

SECRET = frozenset({"code"})
"""Parameters of paths that let somebody in: of links to the portal."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class ChangeLog(ASGIMiddleware):
    """Logs the responses of requests: the operation, and the ids and uids in its path. No bodies, and no queries."""

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
                    by |= {"ids": ids} if (ids := _ids(scope)) else {}
                    operation = operation_of(scope)
                    log.info("api_change", method=method, operation=operation, status=int(message["status"]), **by)
                await send(message)

            await next_app(scope, receive, noting)


def operation_of(scope: Scope) -> str:
    """The path of an operation, with the names of its parameters: what a client put there instead can be anything."""
    return str(scope.get("path_template", ""))


def _ids(scope: Scope) -> dict[str, str]:
    given: dict[str, Any] = scope.get("path_params", {})
    return {name: str(value) for name, value in given.items() if name not in SECRET}

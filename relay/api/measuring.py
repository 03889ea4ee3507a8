"""Counts the answers of the API, and answers `/metrics` to operators where they have no port of their own."""

from time import perf_counter
from typing import Any, Final

from litestar import Request, Response, get
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from relay.api.access import Reach, needs
from relay.domain.principals import Resource
from relay.metrics.answering import CONTENT_TYPE, PATH, Answering
from relay.metrics.http import HttpCounts

BEGAN: Final = "began_s"
"""The name in a request's state."""


class Measuring(ASGIMiddleware):
    """Notes when a request begins, for `count_answer`."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on."""
        scope["state"][BEGAN] = perf_counter()
        await next_app(scope, receive, send)


async def count_answer(message: Message, scope: Scope) -> None:
    """Count an answer when it begins, also one that a middleware gives. Paths are counted as templates, without ids."""
    if message["type"] == "http.response.start":
        counts: HttpCounts = scope["litestar_app"].state.http_counts
        now_s, method, template = perf_counter(), str(scope.get("method")), scope.get("path_template", "")
        counts.answered(method, template, int(message["status"]), now_s - scope["state"].get(BEGAN, now_s))


@get(PATH, include_in_schema=False, opt=needs(Resource.OPERATIONAL_EVENT, Reach.OPERATOR))
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Get the metrics of this process, in Prometheus's text format."""
    answering: Answering = request.app.state.metrics
    return Response(await answering.text(), headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})

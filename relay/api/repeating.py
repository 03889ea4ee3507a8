"""`Idempotency-Key`: a POST that is sent again gets the answer of the first one, whatever operation it is."""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from relay.api.access import PRINCIPAL
from relay.api.answers import Held, held
from relay.api.request_ids import now_ms
from relay.errors import StoreUnavailable
from relay.store.idempotency import HEADER, Answer, Idempotency, Once, Repeatable

log = structlog.get_logger()

ONCE = "once"
"""The name in a request's state of the key that it holds."""
PARAMETER: dict[str, Any] = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "description": "A request with the same key, query and body within a day gets the answer of the first one",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}
"""What every POST declares in the OpenAPI document."""


class Repeating(ASGIMiddleware):
    """Runs a POST with a key once, and answers it again."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on, or answer it. Raises what `begin` raises, and HTTPException for a large body."""
        key = Headers.from_scope(scope).get(HEADER, "")
        if scope.get("method") != "POST" or not key:
            await next_app(scope, receive, send)
            return
        idempotency: Idempotency = scope["litestar_app"].state.stores.idempotency
        begun = await idempotency.begin(await _repeatable(scope, receive, key), now_ms=now_ms(scope))
        if isinstance(begun, Answer):
            await _replay(begun, send)
            return
        scope["state"][ONCE] = begun
        try:
            answer = await held(next_app, scope, receive)
        except BaseException:
            await _end(idempotency.failed(begun))
            raise
        # The answer is kept before the client gets it.
        await _end(_outcome(idempotency, begun, answer))
        await answer.give(send)


def _outcome(idempotency: Idempotency, once: Once, answer: Held) -> Awaitable[None]:
    if answer.status < HTTPStatus.BAD_REQUEST:
        return idempotency.answered(once, Answer(answer.status, answer.content_type, answer.body))
    return idempotency.refused(once) if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR else idempotency.failed(once)


async def _end(outcome: Awaitable[None]) -> None:
    # The client gets its answer in any case. Without an end, the key is held for a while, and then free.
    try:
        await outcome
    except StoreUnavailable as error:
        log.warning("idempotency_key_not_ended", error=str(error))


async def _repeatable(scope: Scope, receive: Receive, key: str) -> Repeatable:
    request = Request[Any, Any, Any](scope, receive)
    principal, query = scope["state"][PRINCIPAL].id, scope.get("query_string", b"")
    return Repeatable(f"{principal} {scope['path']} {key}", query + b"\n" + await request.body())


async def _replay(answer: Answer, send: Send) -> None:
    headers = [(b"content-length", b"%d" % len(answer.body)), (b"idempotent-replayed", b"true")]
    if answer.content_type:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})

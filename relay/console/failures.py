"""Errors as pages: what happened, in the words of the API, and where to go next."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from relay.console.api import Refused, SignedOut
from relay.console.cookies import PORTAL, SESSION, expired, is_sent
from relay.console.embedding import is_noted, serve_portal
from relay.console.forms import FORM_AT_MOST
from relay.console.rendering import render
from relay.console.visits import HOME, own_page
from relay.console.words import sentence
from relay.errors import StoreRefused, StoreUnavailable

log = structlog.get_logger()

SIGN_IN = "/console/sign-in"
PORTAL_AT = "/console/portal"
TITLES = {
    HTTPStatus.FORBIDDEN: "Your access does not include this",
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page does not accept this request",
    HTTPStatus.CONFLICT: "This is not possible now",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The form is too large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is not valid",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests",
    HTTPStatus.SERVICE_UNAVAILABLE: "The relay's store is unavailable",
}
TEXTS = {
    HTTPStatus.NOT_FOUND: "There is no page at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address only takes the form of another page. Go back to that page.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        f"A form can have {FORM_AT_MOST:,} bytes (1 MiB) at most, and this one has more. Nothing was changed. Go back, "
        "shorten the longest field, and send the form again."
    ),
}
"""What is said in place of the words of the framework."""


def handlers() -> ExceptionHandlersMap:
    """The handlers that turn exceptions into pages."""
    return {
        SignedOut: _signed_out,
        Refused: _refused,
        HTTPException: http_error,
        StoreUnavailable: _unavailable,
        StoreRefused: _unavailable,
        Exception: _fault_of_ours,
    }


def _signed_out(request: Request[Any, Any, Any], _: SignedOut) -> Response[bytes]:
    if is_sent(request, PORTAL):
        serve_portal(request)
        return _leave(request, PORTAL_AT, PORTAL, whole=PORTAL_AT)
    at, is_form = own_page(_shown(request), HOME), request.method != "GET"
    query = ({"next": at} if at != HOME else {}) | ({"unsent": "1"} if is_form else {})
    to = SIGN_IN + (f"?{urlencode(query)}" if query else "")
    return _leave(request, to, SESSION, whole=to)


def _shown(request: Request[Any, Any, Any]) -> str:
    """The address of the page that the browser shows: of a form, or of a page that refreshes itself, it says which."""
    if request.method == "GET" and "hx-request" not in request.headers:
        query = request.scope["query_string"].decode("latin-1")
        return quote(request.scope["path"]) + (f"?{query}" if query else "")
    named = request.headers.get("hx-current-url") or request.headers.get("referer") or ""
    # Anybody can send any text, so nothing is parsed that could fail.
    return "/" + named.partition("://")[2].partition("/")[2].partition("#")[0]


def _leave(request: Request[Any, Any, Any], to: str, cookie: str, *, whole: str) -> Response[bytes]:
    status, headers = HTTPStatus.SEE_OTHER, {"location": to}
    if "hx-request" in request.headers:
        # A part of a page cannot be replaced by a page of its own: the whole page goes there.
        status, headers = HTTPStatus.NO_CONTENT, {"hx-redirect": whole}
    answer: Response[bytes] = Response(b"", media_type="text/plain", status_code=status, headers=headers)
    answer.set_cookie(expired(request, cookie))
    return answer


def _refused(request: Request[Any, Any, Any], error: Refused) -> Response[bytes]:
    return _page(request, error.status, error.sentence)


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """The page for an error of the framework, such as an address or a method that no page has."""
    status = error.status_code
    text = TEXTS.get(HTTPStatus(status)) or sentence(error.detail)
    title = "The request was refused" if status == HTTPStatus.FORBIDDEN else None
    return _page(request, status, text, title=title)


def _unavailable(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
    text = "Redis does not answer. The relay continues by itself when Redis is back. Reload this page in a moment."
    return _page(request, HTTPStatus.SERVICE_UNAVAILABLE, text)


def _fault_of_ours(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("page_failed", method=request.method, operation=str(request.scope.get("path_template")), exc_info=error)
    return _page(request, HTTPStatus.INTERNAL_SERVER_ERROR, "The console failed. The relay's log says why.")


def _page(request: Request[Any, Any, Any], status: int, text: str, *, title: str | None = None) -> Response[bytes]:
    if not is_noted(request) and is_sent(request, PORTAL):
        serve_portal(request)  # No page of a visitor was asked for, such as at an address that no page has.
    heading = title or TITLES.get(HTTPStatus(status), "Something went wrong")
    values = {"heading": heading, "text": text, "status": status}
    return render(request, "error.html", status=status, now_ms=0, values=values)

"""Errors as problem documents (RFC 9457) with Svix's `code` and `detail`. One table maps exceptions to them."""

import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from relay.api.json_text import MAX_DEPTH
from relay.domain.phrases import phrase_of
from relay.errors import (
    BeingDeleted,
    Conflict,
    Fault,
    Forbidden,
    InProgress,
    InUse,
    Invalid,
    Late,
    NotFound,
    RelayError,
    StoreRefused,
    StoreUnavailable,
    TooMany,
    Unauthorized,
    Unreadable,
    UpstreamError,
)

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
BODY_AT_MOST = 1 << 20
"""The maximum size of a body in bytes. A filter can have 64 KiB, and so can a certificate chain."""
MADE_UP_CHARS = 128
"""How many characters of an unknown key, name or method an error repeats."""

PROBLEMS: dict[type[RelayError], tuple[HTTPStatus, str]] = {
    Invalid: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
    NotFound: (HTTPStatus.NOT_FOUND, "not_found"),
    BeingDeleted: (HTTPStatus.CONFLICT, "being_deleted"),
    InProgress: (HTTPStatus.CONFLICT, "in_progress"),
    InUse: (HTTPStatus.CONFLICT, "in_use"),
    Conflict: (HTTPStatus.CONFLICT, "conflict"),
    Unreadable: (HTTPStatus.CONFLICT, "unreadable"),
    Unauthorized: (HTTPStatus.UNAUTHORIZED, "authentication_failed"),
    Forbidden: (HTTPStatus.FORBIDDEN, "forbidden"),
    TooMany: (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited"),
    Late: (HTTPStatus.GATEWAY_TIMEOUT, "upstream_timeout"),
    UpstreamError: (HTTPStatus.BAD_GATEWAY, "upstream_failed"),
    StoreUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    StoreRefused: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
}
"""The status and code of the relay's exceptions. Any other exception is an internal error: 500."""

CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
}
"""The codes of the framework's own errors."""

HEADERS: dict[str, dict[str, str]] = {
    "authentication_failed": {"www-authenticate": 'Bearer realm="relay"'},
    "unavailable": {"retry-after": "1"},
    "being_deleted": {"retry-after": "2"},
    "in_progress": {"retry-after": "1"},
}


def problem(
    status: HTTPStatus, code: str, detail: str | list[dict[str, Any]], *, headers: dict[str, str] | None = None
) -> Response[dict[str, Any]]:
    """A problem document. `detail` is a text, or on 422 a list of `{loc, msg, type}`, as Svix's clients expect."""
    content = {
        "type": f"urn:relay:problem:{code}",
        "title": phrase_of(status),
        "status": int(status),
        "code": code,
        "detail": detail,
    }
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=HEADERS.get(code, {}) | (headers or {}))


def handlers() -> ExceptionHandlersMap:
    """The handlers that turn exceptions into problem documents."""
    return {
        RelayError: relay_error,
        HTTPException: http_error,
        ValidationException: _unfit,
        UnicodeDecodeError: _malformed,
        RecursionError: _malformed,
        Exception: _fault_of_ours,
    }


def relay_error(request: Request[Any, Any, Any], error: RelayError) -> Response[dict[str, Any]]:
    """The problem document of one of the relay's own exceptions."""
    if isinstance(error, Invalid):
        return _invalid(error.faults)
    for kind, (status, code) in PROBLEMS.items():
        if isinstance(error, kind):
            wait = {"retry-after": str(math.ceil(error.retry_after_s))} if isinstance(error, TooMany) else None
            return problem(status, code, str(error), headers=wait)
    return _fault_of_ours(request, error)


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """The problem document of an error of the framework."""
    status = HTTPStatus(error.status_code)
    code = CODES.get(status, phrase_of(status).lower().replace(" ", "_"))
    allowed = (error.headers or {}).get("allow", "")
    detail = {
        HTTPStatus.NOT_FOUND: "there is no operation at this path; /docs lists all operations",
        HTTPStatus.METHOD_NOT_ALLOWED: f"this path does not accept {cut(request.method)}; it accepts {allowed}",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"the body is too large: it can have at most {BODY_AT_MOST} bytes",
    }.get(status, error.detail or phrase_of(status))
    return problem(status, code, detail, headers=error.headers)


def _unfit(request: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    """What the framework refuses: a missing body. Other faults are found before, with better messages."""
    found = error.extra if isinstance(error.extra, list) else []
    if any(entry.get("key") == "data" for entry in found):
        missing = Fault(("body",), "is required: send a JSON object", "missing")
        return _invalid([*request.state.get("faults", ()), missing])
    return _invalid([_fault(entry) for entry in found] or [Fault(("body",), error.detail)])


def _fault(entry: dict[str, Any]) -> Fault:
    source = entry.get("source", "body")
    return Fault((str(getattr(source, "value", source)), str(entry.get("key", ""))), str(entry["message"]))


def _invalid(faults: Iterable[Fault]) -> Response[dict[str, Any]]:
    detail = []
    for fault in faults:
        # Strings only: Svix's Rust client discards the whole list otherwise.
        loc = [cut(str(part)) for part in fault.path]
        subject = f"`{'.'.join(loc[1:])}`" if loc[1:] else f"the {loc[0]}"
        detail.append({"loc": loc, "msg": f"{subject}: {fault.message}", "type": fault.kind})
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail)


def cut(text: str) -> str:
    """A text from the client, short enough to repeat."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MADE_UP_CHARS else text[:MADE_UP_CHARS] + "…"


def _malformed(_: Request[Any, Any, Any], __: Exception) -> Response[dict[str, Any]]:
    text = f"the request is not valid UTF-8, or is nested more than {MAX_DEPTH} levels deep"
    return problem(HTTPStatus.BAD_REQUEST, "malformed", text)


def _fault_of_ours(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    # What failed is in the traceback, what was asked for is the caller's.
    operation = str(request.scope.get("path_template", ""))
    log.error("request_failed", method=request.method, operation=operation, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the relay failed; its log says why")

"""Errors as problem documents (RFC 9457) that also carry Svix's `code` and `detail`: one table says which is which."""

from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from relay.errors import (
    BeingDeleted,
    Conflict,
    Fault,
    Invalid,
    NotFound,
    RelayError,
    StoreRefused,
    StoreUnavailable,
    Unauthorized,
    Unreadable,
)

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

PROBLEMS: dict[type[RelayError], tuple[HTTPStatus, str]] = {
    Invalid: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
    NotFound: (HTTPStatus.NOT_FOUND, "not_found"),
    BeingDeleted: (HTTPStatus.CONFLICT, "being_deleted"),
    Conflict: (HTTPStatus.CONFLICT, "conflict"),
    Unreadable: (HTTPStatus.CONFLICT, "unreadable"),
    Unauthorized: (HTTPStatus.UNAUTHORIZED, "authentication_failed"),
    StoreUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    StoreRefused: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
}
"""What our own exceptions are to a client. Any other is a fault of the relay: 500."""

CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
}
"""What the framework's own answers are called."""

HEADERS: dict[str, dict[str, str]] = {
    "authentication_failed": {"www-authenticate": 'Bearer realm="relay"'},
    "unavailable": {"retry-after": "1"},
    "being_deleted": {"retry-after": "2"},
}


def problem(
    status: HTTPStatus, code: str, detail: str | list[dict[str, Any]], *, headers: dict[str, str] | None = None
) -> Response[dict[str, Any]]:
    """A problem document. `detail` is a text, but on 422 a list of `{loc, msg, type}`, as Svix's clients read it."""
    content = {
        "type": f"urn:relay:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
    }
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=HEADERS.get(code, {}) | (headers or {}))


def handlers() -> ExceptionHandlersMap:
    """Every exception's way to a problem document."""
    return {
        RelayError: _relay_error,
        HTTPException: _http_error,
        ValidationException: _unfit,
        UnicodeDecodeError: _malformed,
        RecursionError: _malformed,
        Exception: _fault_of_ours,
    }


def _relay_error(request: Request[Any, Any, Any], error: RelayError) -> Response[dict[str, Any]]:
    if isinstance(error, Invalid):
        return _invalid(error.faults)
    for kind, (status, code) in PROBLEMS.items():
        if isinstance(error, kind):
            return problem(status, code, str(error))
    return _fault_of_ours(request, error)


def _http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    status = HTTPStatus(error.status_code)
    code = CODES.get(status, status.phrase.lower().replace(" ", "_"))
    return problem(status, code, error.detail or status.phrase, headers=error.headers)


def _unfit(_: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    found = error.extra if isinstance(error.extra, list) else []
    return _invalid([_fault(entry) for entry in found] or [Fault(("body",), error.detail)])


def _invalid(faults: Any) -> Response[dict[str, Any]]:
    detail = [{"loc": list(fault.path), "msg": fault.message, "type": fault.kind} for fault in faults]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail)


def _fault(entry: dict[str, Any]) -> Fault:
    """What msgspec found, with the path to it: it names a field that is missing or unknown in its message only."""
    message, source = str(entry["message"]), entry.get("source", "body")
    where = str(getattr(source, "value", source))
    inner = [part for part in entry["key"].replace("[", ".").replace("]", "").split(".") if part]
    path: list[str | int] = [where, *(int(part) if part.isdecimal() else part for part in inner)]
    if where == "body" and path[1:2] == ["data"]:
        del path[1]  # The handler's own name for the whole body.
    if message == "'data'":
        return Fault(tuple(path), "is needed: send a JSON object", "missing")
    for opening, kind in (("Object missing required field `", "missing"), ("Object contains unknown field `", "extra")):
        if message.startswith(opening):
            path.append(message.removeprefix(opening).rstrip("`"))
            return Fault(tuple(path), "is needed" if kind == "missing" else "is no field of this", kind)
    return Fault(tuple(path), message, "type_error" if "got" in message else "value_error")


def _malformed(_: Request[Any, Any, Any], __: Exception) -> Response[dict[str, Any]]:
    return problem(HTTPStatus.BAD_REQUEST, "malformed", "the body is no JSON in UTF-8, or nested too deeply")


def _fault_of_ours(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    # The path without its query: what failed is in the traceback, what was asked for is the caller's.
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the relay failed; its log says why")

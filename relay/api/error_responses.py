"""The errors of each operation in the OpenAPI document: which statuses it has, and which codes these stand for."""

from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Any

from relay.api.problems import MEDIA_TYPE
from relay.domain.phrases import phrase_of

REFERENCE = "#/components/responses/{name}"
EXAMPLE = "#/components/examples/{name}"
SCHEMA = {"$ref": "#/components/schemas/Problem"}
ERRORS: dict[HTTPStatus, tuple[str, tuple[str, ...]]] = {
    HTTPStatus.BAD_REQUEST: ("The body is not UTF-8 or not JSON", ("malformed",)),
    HTTPStatus.UNAUTHORIZED: ("The API key is missing, wrong, revoked or expired", ("authentication_failed",)),
    HTTPStatus.FORBIDDEN: ("The API key does not have the required scope", ("forbidden",)),
    HTTPStatus.NOT_FOUND: ("There is no such object that the API key may see", ("not_found",)),
    HTTPStatus.CONFLICT: (
        "The state of the object does not allow the request",
        ("conflict", "in_use", "being_deleted", "in_progress", "unreadable"),
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("The body is too large", ("too_large",)),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("The body is not `application/json`", ("unsupported_media_type",)),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("The request has faults. `detail` lists all of them", ("invalid",)),
    HTTPStatus.TOO_MANY_REQUESTS: ("Too many requests. `Retry-After` says when to try again", ("rate_limited",)),
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: ("The recording has no such part", ("range_not_satisfiable",)),
    HTTPStatus.BAD_GATEWAY: ("Infinity refuses or fails", ("upstream_failed",)),
    HTTPStatus.GATEWAY_TIMEOUT: ("Infinity did not answer in time", ("upstream_timeout",)),
    HTTPStatus.SERVICE_UNAVAILABLE: ("The store is not available, or full. Try again later", ("unavailable",)),
}
"""What each status means, and the codes of its problem documents."""
WITH_A_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
OF_THE_UPSTREAM = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""Of what is read from Infinity, with a key or by a link."""
PORTAL = "portal"
"""The tag of what a code lets in, without a key."""
TRACES = "visitor-trace"
"""The tag of traces."""
WITH_A_BODY = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def describe_errors(operation: dict[str, Any], method: str) -> None:
    """Add the errors that an operation can answer with. Any other one has the same form: `default`."""
    responses = operation["responses"]
    responses["default"] = {"description": "An error", "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
    for status in sorted(_statuses(operation, method)):
        responses[str(int(status))] = {"$ref": REFERENCE.format(name=_name(status))}


def error_responses(examples: Collection[str]) -> dict[str, Any]:
    """The responses that operations refer to. `examples` are the codes of which the document has an example."""
    return {_name(status): _response(said, codes, examples) for status, (said, codes) in ERRORS.items()}


def _response(said: str, codes: Sequence[str], examples: Collection[str]) -> dict[str, Any]:
    shown = {code: {"$ref": EXAMPLE.format(name=code)} for code in codes if code in examples}
    described = f"{said} ({', '.join(f'`{code}`' for code in codes)})"
    return {"description": described, "content": {MEDIA_TYPE: {"schema": SCHEMA, "examples": shown}}}


def _statuses(operation: dict[str, Any], method: str) -> set[HTTPStatus]:
    parameters = operation.get("parameters", ())
    found = {HTTPStatus.SERVICE_UNAVAILABLE}
    if operation.get("security"):
        found.update(WITH_A_KEY)
    if "requestBody" in operation:
        found.update(WITH_A_BODY)
    if any("audio/*" in answer.get("content", ()) for answer in operation["responses"].values()):
        found.update((*OF_THE_UPSTREAM, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE))
    if PORTAL in operation.get("tags", ()):
        found.update((HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS))
    if TRACES in operation.get("tags", ()):
        found.update(OF_THE_UPSTREAM)
    if any(each["in"] in ("path", "query") for each in parameters):
        found.add(HTTPStatus.NOT_FOUND)  # Lists are asked for by the names of objects.
    if parameters or "requestBody" in operation:
        found.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if method != "get" or HTTPStatus.NOT_FOUND in found:
        found.add(HTTPStatus.CONFLICT)  # Also a record that can't be read is one.
    return found


def _name(status: HTTPStatus) -> str:
    return phrase_of(status).replace(" ", "")

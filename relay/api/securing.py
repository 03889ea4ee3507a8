"""Headers of all responses, including pages, errors and health checks."""

from collections.abc import Iterable
from http import HTTPStatus

from litestar.types import Message, Scope

from relay.api.admission import HEADERS as GATHERED
from relay.api.docs import POLICY, VIEWER_POLICY
from relay.api.request_ids import NAMES, request_id

HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
)


async def secure(message: Message, scope: Scope) -> None:
    """A hook that sees each message before it is sent. Headers that an operation sets itself stay."""
    if message["type"] != "http.response.start":
        return
    state = scope["litestar_app"].state
    headers = [(name.lower(), value) for name, value in message["headers"]]
    if message["status"] == HTTPStatus.METHOD_NOT_ALLOWED or scope.get("method") == "OPTIONS":
        allowed = methods_of(scope["path"], state.parameters)
        headers = [*(header for header in headers if header[0] != b"allow"), (b"allow", allowed.encode())]
    if scope["path"].rstrip("/") == "/docs":
        headers.append((b"content-security-policy", VIEWER_POLICY.encode()))
    there = {name for name, _ in headers}
    own = request_id(scope).encode()
    gathered = scope["state"].get(GATHERED, {})
    added = [
        *HEADERS,
        *((name, own) for name in NAMES),
        *((name.encode(), value.encode()) for name, value in gathered.items()),
    ]
    message["headers"] = [*headers, *(header for header in added if header[0] not in there)]


def methods_of(path: str, called: Iterable[tuple[str, str]]) -> str:
    """The methods of a path, for `Allow`. The framework lists those of one handler only, and some that are refused."""
    parts = [part for part in path.split("/") if part]
    methods = {method for template, method in called if _matches(template.split("/")[1:], parts)}
    return ", ".join(sorted(methods | {"OPTIONS"}))


def _matches(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        mine == given or mine.startswith("{") for mine, given in zip(template, parts, strict=True)
    )

"""The REST API as the console calls it: in this process, over ASGI, with the API key of the session.

A call passes through everything that a call from outside passes through: admission, scopes, quotas, validation,
idempotency and the audit log.
"""

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from litestar import Request

from relay.concurrency import all_of
from relay.console.words import sentence
from relay.domain.model import Secret
from relay.domain.url_paths import url_path
from relay.errors import Invalid, RelayError

ROOT = "/api/v1"
FORWARDED = ("x-forwarded-for", "x-request-id", "svix-req-id")
"""Headers of the browser's request that the API gets as well."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What the API found wrong with one field."""

    path: tuple[str, ...]
    """Such as `("body", "filter", "$and")`."""
    message: str


class Refused(RelayError):  # noqa: N818 - named for what it says, like the others
    """The API answered with an error."""

    def __init__(self, status: int, code: str, message: str, faults: tuple[FieldFault, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.faults = faults

    @property
    def sentence(self) -> str:
        """The message for people, as pages show it."""
        return sentence(self.message)


class SignedOut(RelayError):  # noqa: N818 - named for what it says, like the others
    """There is no session, or the API does not accept its key. No page has to handle it: it leads to the sign-in."""


class Api:
    """Calls operations of the API for one request of a browser."""

    def __init__(self, request: Request[Any, Any, Any], key: Secret | None) -> None:
        """`key`: None for operations that require none."""
        client = request.client
        self._transport = httpx.ASGITransport(
            request.app,  # type: ignore[arg-type]
            raise_app_exceptions=False,
            client=(client.host, client.port) if client else ("", 0),
        )
        self._headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key.reveal()}"

    async def get(self, *path: str, **query: Any) -> Any:
        """GET an operation. `path` is its path below `/api/v1` in parts, such as `"source", uid`.

        Raises Refused and SignedOut.
        """
        return await self.call("GET", path, query=query)

    async def call(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        once: str | None = None,
        root: str = ROOT,
    ) -> Any:
        """Call an operation, and give its answer. `once` is an idempotency key. Raises Refused and SignedOut."""
        headers = dict(self._headers)
        if once:
            headers["idempotency-key"] = once
        if body is not None:
            headers["content-type"] = "application/json"
        request = httpx.Request(
            method,
            f"http://relay{root}/{_path(path)}",
            params={name: value for name, value in (query or {}).items() if value not in (None, "", [])},
            headers=headers,
            content=None if body is None else msgspec.json.encode(body),
        )
        answer = await self._transport.handle_async_request(request)
        content = await answer.aread()
        if answer.is_success:
            return msgspec.json.decode(content) if content else None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise SignedOut
        raise refused(answer.status_code, content)


def _path(parts: tuple[str, ...]) -> str:
    """The path of an operation. Raises Refused for parts that name no object, as the API does for names without one."""
    try:
        return url_path(*parts)
    except Invalid as error:
        raise Refused(httpx.codes.NOT_FOUND, "not_found", f"the address {error.faults[0].message}") from None


def refused(status: int, content: bytes) -> Refused:
    """What a problem document says."""
    try:
        problem = msgspec.json.decode(content)
        code, detail = str(problem["code"]), problem["detail"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return Refused(status, "internal_error", "The relay failed. Its log says why.")
    if isinstance(detail, list):
        faults = tuple(FieldFault(tuple(map(str, each["loc"])), str(each["msg"])) for each in detail)
        return Refused(status, code, "; ".join(fault.message for fault in faults), faults)
    return Refused(status, code, str(detail))


async def attempt(call: Awaitable[Any]) -> Any:
    """The answer of a call, or the Refused that it raised if the key does not include the operation (403).

    For a part of a page: the rest of the page is shown without it.
    """
    try:
        return await call
    except Refused as error:
        if error.status != httpx.codes.FORBIDDEN:
            raise
        return error


async def together(*calls: Awaitable[Any], needed: Collection[int] = ()) -> list[Any]:
    """The answers of calls that run at the same time; a Refused where the key does not include one. Raises Refused.

    `needed`: positions of calls without which there is no page.
    """
    answers = await all_of(*(attempt(call) for call in calls))
    for position in needed:
        if isinstance(answers[position], Refused):
            raise answers[position]
    return answers

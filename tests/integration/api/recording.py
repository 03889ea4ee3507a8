"""A recorder between a test and the API: what goes through it becomes an example of the OpenAPI document."""

import re
from typing import Any

import httpx
import msgspec

from relay.api.examples import Examples, Recorded
from tests.integration.api.conftest import TestClock

IDS = re.compile(r"\b(app|ep|msg|atmpt|key|rec|bf|qtask|task|req|rlk|whsec|whpk|whsk|ptl|rlp)_([0-9A-Za-z+/_.=-]{4,})")
STREAM = re.compile(r"\b1\d{12}-\d+\b")
"""Ids that Redis gives."""
CODE = re.compile(r"(?<=/console/portal/)[0-9A-Za-z]{27}|(?<!\w)[0-9A-Za-z]{27}(?!\w)")
"""Those of links to the portal."""
OUTSIDE = ("/health/", "/portal/", "/.well-known/", "/visitor-trace/")
"""Where paths begin that are not below `/api/v1`."""
SIGNATURE = re.compile(r"\bsignature=[0-9a-f]{64}")
"""Those of links."""
OPAQUE = {
    "iterator": "MTI",
    "prevIterator": "MTI",
    "kid": "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "hint": "3b1f",
    "censoredToken": "rlk_…3b1f",
}
"""What differs in each run and means nothing to a reader, by its field."""


class Recorder:
    """Calls operations by their path templates, and keeps each first request and answer."""

    def __init__(self, http: httpx.AsyncClient, clock: TestClock) -> None:
        self._http = http
        self._clock = clock
        self._names: dict[str, str] = {}
        self._kept: dict[str, Recorded] = {}
        self._problems: dict[str, Any] = {}

    async def call(
        self,
        operation: str,
        body: Any = msgspec.UNSET,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        **names: str,
    ) -> Any:
        """Make a request, such as `PUT /app/{app_id}`. Gives the body of the answer, which must not be an error."""
        answer = await self._send(operation, body, query, headers, names)
        assert answer.status_code < 400, (operation, answer.text)
        return answer.json() if answer.content else None

    async def refused(
        self,
        operation: str,
        body: Any = msgspec.UNSET,
        *,
        headers: dict[str, str] | None = None,
        **names: str,
    ) -> None:
        """Make a request whose answer is an error, and keep the problem document under its code."""
        answer = await self._send(operation, body, None, headers, names)
        assert answer.status_code >= 400, (operation, answer.text)
        self._problems.setdefault(answer.json()["code"], self._settled(answer.json()))

    def examples(self) -> Examples:
        """All that was recorded, in the order of the paths."""
        kept = {name: each for name, each in sorted(self._kept.items()) if each != Recorded()}
        return Examples(kept, dict(sorted(self._problems.items())))

    async def _send(
        self,
        operation: str,
        body: Any,
        query: dict[str, Any] | None,
        headers: dict[str, str] | None,
        names: dict[str, str],
    ) -> httpx.Response:
        method, _, template = operation.partition(" ")
        template = template if template.startswith(OUTSIDE) else f"/api/v1{template}"
        sent = {} if body is msgspec.UNSET else {"json": body}
        if isinstance(body, bytes):
            sent = {"content": body}
        url = "http://relay" + template.format(**names)
        self._clock.at_ms += 1000  # So that lists have one order.
        answer = await self._http.request(method, url, params=query, headers=headers, **sent)
        if answer.status_code < 400:
            self._keep(f"{method} {template}", body, answer)
        return answer

    def _keep(self, operation: str, body: Any, answer: httpx.Response) -> None:
        before = self._kept.get(operation, Recorded())
        request = before.request if before.request is not msgspec.UNSET else self._settled(body)
        given = {} if not answer.content else {str(answer.status_code): self._settled(answer.json())}
        self._kept[operation] = Recorded(request, given | before.responses)

    def _settled(self, value: Any) -> Any:
        """The same with ids, secrets and positions that are equal in each run."""
        match value:
            case dict():
                return {
                    key: OPAQUE[key] if key in OPAQUE and isinstance(inner, str) else self._settled(inner)
                    for key, inner in value.items()
                }
            case list():
                return [self._settled(inner) for inner in value]
            case str():
                plain = CODE.sub("7Qn2" * 6 + "7Qn", STREAM.sub("1790000000000-0", IDS.sub(self._name, value)))
                return SIGNATURE.sub("signature=" + "5f" * 32, plain)
        return value

    def _name(self, found: re.Match[str]) -> str:
        number = sum(1 for name in self._names if name.startswith(f"{found[1]}_"))
        return self._names.setdefault(found[0], f"{found[1]}_{_letters(len(found[2]), number)}")


def _letters(length: int, number: int) -> str:
    """An id of some length that looks like one."""
    letters = "2aXo7KfQmZ4tVb9RcWp5uYsE3hJdN8gL"
    turned = letters[number % len(letters) :] + letters[: number % len(letters)]
    return (turned * (length // len(letters) + 1))[:length]

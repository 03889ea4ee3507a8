"""An application between the API and its clients that compares every answer with the OpenAPI document."""

import json
from collections.abc import Callable
from typing import Any

from jsonschema_rs import Draft202012Validator
from litestar import Litestar

SECURITY = {"cache-control", "content-security-policy", "x-content-type-options"}
BODILESS = (204, 304)


class Documented:
    """Raises AssertionError into the server or client that asked, and keeps the message in `mismatches`."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self.state = app.state
        self.mismatches: list[str] = []
        self._document = strict(app.state.document)
        self._validators: dict[str, Draft202012Validator] = {}

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Pass a request on; look at the answer when it is whole."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start: dict[str, Any] = {}
        body = bytearray()

        async def watch(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    self._compare(scope, start, bytes(body))
            await send(message)

        await self.app(scope, receive, watch)

    def _compare(self, scope: Any, start: dict[str, Any], body: bytes) -> None:
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        called = f"{scope['method']} {scope['path'][:200]} → {int(start['status'])}"
        for fault in self._faults(scope, int(start["status"]), headers, body):
            self.mismatches.append(f"{called}: {fault}")
        assert not self.mismatches, self.mismatches[-1]

    def _faults(self, scope: Any, status: int, headers: dict[str, str], body: bytes) -> list[str]:
        faults = [f"has no {name}" for name in SECURITY - headers.keys()]
        kind = headers.get("content-type", "").partition(";")[0]
        operation = self._document["paths"].get(scope.get("path_template"), {}).get(scope["method"].lower())
        if status >= 400:
            if operation is not None and status != 500 and str(status) not in operation["responses"]:
                faults.append("is an error that the operation does not name")
            return faults + self._problem(status, kind, body, scope["method"])
        if operation is None:
            return faults  # The document and its page, and OPTIONS.
        if (answer := operation["responses"].get(str(status))) is None:
            return [*faults, f"status is not documented; these are: {list(operation['responses'])}"]
        if "content" not in answer:
            return faults if not body else [*faults, "has a body that is not documented"]
        if kind.startswith("audio/"):
            return faults if "audio/*" in answer["content"] else [*faults, f"{kind} is not documented"]
        if kind not in answer["content"]:
            return [*faults, f"{kind} is not documented"]
        bodies = _data(body) if kind == "text/event-stream" else [body]
        return faults + [fault for each in bodies for fault in self._invalid(answer["content"][kind]["schema"], each)]

    def _problem(self, status: int, kind: str, body: bytes, method: str) -> list[str]:
        if method == "HEAD":
            return []
        if kind != "application/problem+json":
            return [f"is {kind}, not a problem document"]
        faults = self._invalid({"$ref": "#/components/schemas/Problem"}, body)
        problem = json.loads(body)
        if problem["status"] != status or isinstance(problem["detail"], list) is not (status == 422):
            faults.append(f"does not fit its problem document {problem}")
        return faults

    def _invalid(self, schema: dict[str, Any], body: bytes) -> list[str]:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[key] = Draft202012Validator(whole, validate_formats=True)
        return [
            f"{error.instance_path}: {error.message}" for error in self._validators[key].iter_errors(json.loads(body))
        ]


def _data(events: bytes) -> list[bytes]:
    """The data of each event of a stream."""
    return [line.removeprefix(b"data: ") for line in events.splitlines() if line.startswith(b"data: ")]


def strict(value: Any) -> Any:
    """The same document, in which no object has a property that is not described."""
    match value:
        case dict():
            inner = {key: strict(each) for key, each in value.items()}
            if "properties" in inner and inner.get("type") == "object":
                inner.setdefault("additionalProperties", False)
            return inner
        case list():
            return [strict(each) for each in value]
    return value

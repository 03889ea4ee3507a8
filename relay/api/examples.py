"""Examples in the OpenAPI document: what the API answered on a tour through all of its operations.

The tests make the tour (tests/integration/api/tour.py) and record it in `static/examples.json`, so an example is never
something that the API would not say.
"""

from importlib.resources import files
from typing import Any

import msgspec

FILE = "examples.json"
JSON = "application/json"


class Recorded(msgspec.Struct, frozen=True):
    """What was recorded of one operation."""

    request: Any = msgspec.UNSET
    """The body."""
    responses: dict[str, Any] = {}
    """Bodies by status."""


class Examples(msgspec.Struct, frozen=True):
    """The tour."""

    operations: dict[str, Recorded] = {}
    """By method and path template."""
    problems: dict[str, Any] = {}
    """Problem documents by their code."""


def read_examples() -> Examples:
    """What is shipped with the relay."""
    return msgspec.json.decode(files("relay.api").joinpath("static", FILE).read_bytes(), type=Examples)


def add_examples(document: dict[str, Any], examples: Examples) -> None:
    """Put the examples where the viewer and code generators look for them."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if (recorded := examples.operations.get(f"{method.upper()} {path}")) is None:
                continue
            if "requestBody" in operation and recorded.request is not msgspec.UNSET:
                operation["requestBody"]["content"][JSON]["example"] = recorded.request
            for status, body in recorded.responses.items():
                content = operation["responses"].get(status, {}).get("content", {})
                if JSON in content:
                    content[JSON]["example"] = body
    document["components"]["examples"] = {code: {"value": body} for code, body in examples.problems.items()}

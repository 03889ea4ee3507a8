"""What the documentation of CRMs and others says about the requests of recipes, and whether a request agrees.

`facts.json` has it for each recipe, with the source and its date: the schemas of requests, what answers mean, and
limits. `k` marks general knowledge, and `?` what has no source.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

FACTS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("facts.json").read_text())


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    target: str
    """Path and query."""
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body; None: there is none."""
        return json.loads(self.body) if self.body else None


def faults(recipe: str, kind: str, request: Request) -> Iterator[str]:
    """In what a request does not agree with a kind of request of the facts."""
    fact = FACTS[recipe]["requests"][kind]
    if request.method != fact["method"]:
        yield f"the method is {request.method}"
    if not re.search(fact["path"], request.target):
        yield f"the path is {request.target}"
    for name, pattern in fact["headers"].items():
        if not re.search(pattern, request.headers.get(name, "")):
            yield f"the header {name} is {request.headers.get(name)!r}"
    if "body" not in fact:
        return
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        yield "the body is no JSON"
    yield from (
        f"{list(error.instance_path)}: {error.message}"
        for error in Draft202012Validator(fact["body"]).iter_errors(request.json)
    )

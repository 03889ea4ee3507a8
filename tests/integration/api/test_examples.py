"""The examples of the OpenAPI document are what the API answers. `make openapi` records them anew."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema_rs import Draft202012Validator

from relay.api.error_responses import ERRORS
from relay.api.examples import FILE, read_examples
from relay.domain.event_types import EVENT_TYPES
from relay.domain.operational_types import TYPES
from relay.wiring import Stores
from tests.integration.api.conftest import TestClock
from tests.integration.api.documented import Documented
from tests.integration.api.recording import Recorder
from tests.integration.api.tour import tour

ANEW = "record them anew with `make openapi`"
RARE = {"in_progress", "being_deleted", "unreadable", "unavailable", "rate_limited",
        "upstream_failed", "upstream_timeout", "range_not_satisfiable"}  # fmt: skip
"""Problems of which the tour does not meet one: they need a fault, or two requests at once."""


async def test_the_examples_are_what_the_api_answers(
    http: httpx.AsyncClient, stores: Stores, clock: TestClock, pytestconfig: pytest.Config
) -> None:
    """Every request and answer of the tour is the recorded one."""
    record = Recorder(http, clock)
    await tour(record, stores)
    found = record.examples()
    if pytestconfig.getoption("write"):
        path = Path(str(files("relay.api").joinpath("static", FILE)))
        path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    shipped = read_examples()
    assert msgspec.to_builtins(found) == msgspec.to_builtins(shipped), ANEW


def test_every_operation_has_examples(application: Documented) -> None:
    """Of its request body, if it has one, and of each answer with a body."""
    without = []
    for path, item in application.state.document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            contents = [content, *(answer.get("content", {}) for answer in operation["responses"].values())]
            without += [
                f"{method} {path}"
                for each in contents
                for k, of in each.items()
                if not k.startswith(("audio/", "text/event-stream")) and not _has_example(of)
            ]
    assert not without


def _has_example(content: dict[str, Any]) -> bool:
    return "example" in content or ("$ref" in content["schema"] and content["schema"]["$ref"].endswith("/Problem"))


def test_every_example_fits_its_schema(application: Documented) -> None:
    """As a program that is generated from the document reads it."""
    document, tried = application.state.document, 0
    for item in document["paths"].values():
        for operation in item.values():
            content = operation.get("requestBody", {}).get("content", {})
            for each in [content, *(answer.get("content", {}) for answer in operation["responses"].values())]:
                for of in each.values():
                    if "example" in of:
                        whole = of["schema"] | {"components": document["components"]}
                        assert not list(Draft202012Validator(whole).iter_errors(of["example"]))
                        tried += 1
    assert tried > 70


def test_every_kind_of_error_has_an_example(application: Documented) -> None:
    """But for those that need a fault of the store, or two requests at once."""
    codes = {code for _, some in ERRORS.values() for code in some}
    assert set(application.state.document["components"]["examples"]) == codes - RARE


def test_every_parameter_and_property_is_described(application: Documented) -> None:
    """In words that a reader finds in the page."""
    document = application.state.document
    operations = [(path, method, of) for path, item in document["paths"].items() for method, of in item.items()]
    bare = [
        f"{method} {path} {parameter['name']}"
        for path, method, of in operations
        for parameter in of.get("parameters", ())
        if not parameter.get("description")
    ]
    bare += [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, of in schema.get("properties", {}).items()
        if not of.get("description") and "$ref" not in of
    ]
    bare += [f"{method} {path}" for path, method, of in operations if not of.get("description")]
    assert not bare


def test_every_callback_is_described(application: Documented) -> None:
    """Each of the relay's own types is a webhook, and its example fits its schema."""
    callbacks = application.state.document["webhooks"]
    assert set(callbacks) == {*EVENT_TYPES, *TYPES}
    for name, item in callbacks.items():
        content = item["post"]["requestBody"]["content"]["application/json"]
        assert content["example"]["type"] == name
        assert not list(Draft202012Validator(content["schema"]).iter_errors(content["example"]))

"""docs/schemas and docs/asyncapi.json are what the relay sends. After a change: `make schemas`."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema_rs import Draft7Validator, Draft202012Validator

from relay.domain.event_examples import example_of
from relay.domain.event_schemas import schema_of
from relay.domain.event_types import EVENT_TYPES
from relay.domain.operational_types import TYPES
from tests.meta.asyncapi import document

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs/schemas"
ASYNCAPI = ROOT / "docs/asyncapi.json"
SPECIFICATION = ROOT / "tests/golden/asyncapi-3.0.0.json.gz"
ALL = (*EVENT_TYPES, *TYPES)


def files() -> dict[str, bytes]:
    """The files of docs/schemas by name: a schema and a body of each type. A body has the bytes of a callback."""
    found = {}
    for name in ALL:
        found[f"{name}.schema.json"] = _pretty(schema_of(name))
        found[f"{name}.example.json"] = example_of(name)
    return found


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def test_the_schemas_are_written_down(pytestconfig: pytest.Config) -> None:
    """Each type has a file with its schema and one with a body, and there are no others."""
    expected = files()
    if pytestconfig.getoption("write"):
        SCHEMAS.mkdir(exist_ok=True)
        for path in SCHEMAS.iterdir():
            path.unlink()
        for name, text in expected.items():
            (SCHEMAS / name).write_bytes(text)
    assert {path.name: path.read_bytes() for path in SCHEMAS.iterdir()} == expected, "run `make schemas`"


@pytest.mark.parametrize("name", ALL)
def test_a_written_body_fits_its_written_schema(name: str) -> None:
    """As a subscriber would check it."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())
    Draft202012Validator(schema, validate_formats=True).validate(
        json.loads((SCHEMAS / f"{name}.example.json").read_bytes())
    )


def test_the_asyncapi_document_is_written_down(pytestconfig: pytest.Config) -> None:
    """It is what the code says now."""
    expected = _pretty(document())
    if pytestconfig.getoption("write"):
        ASYNCAPI.write_bytes(expected)
    assert ASYNCAPI.read_bytes() == expected, "run `make schemas`"


def test_the_asyncapi_document_is_valid() -> None:
    """It fits AsyncAPI's own schema, which refuses what is no document."""
    validator = Draft7Validator(json.loads(gzip.decompress(SPECIFICATION.read_bytes())))
    validator.validate(json.loads(ASYNCAPI.read_bytes()))
    assert not validator.is_valid({**document(), "operations": {"events": {"action": "post"}}})
    assert not validator.is_valid({**document(), "channels": {"events": {"adress": None}}})


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """No message, schema or channel is named that is not there."""
    whole = json.loads(ASYNCAPI.read_bytes())
    for reference in _references(whole):
        part = whole
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


@pytest.mark.parametrize("name", ALL)
def test_an_example_fits_the_schema_of_the_asyncapi_document(name: str) -> None:
    """With draft 7, which is AsyncAPI's own dialect."""
    whole = json.loads(ASYNCAPI.read_bytes())
    schema = {"components": whole["components"], "$ref": f"#/components/schemas/{name}"}
    validator = Draft7Validator(schema, validate_formats=True)
    for example in whole["components"]["messages"][name]["examples"]:
        validator.validate(example["payload"])
    assert not validator.is_valid({"type": name})


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in _references(each)]
    return [found for each in value for found in _references(each)] if isinstance(value, list) else []

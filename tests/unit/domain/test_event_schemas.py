"""The schemas and examples of the relay's own types: what they say is what the relay sends."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator, meta

from relay.domain import envelope
from relay.domain.classifying import classify
from relay.domain.event_examples import example_of
from relay.domain.event_schemas import DIALECT, schema_of
from relay.domain.event_types import EVENT_TYPES, codes_of
from relay.domain.model import SourceUid
from relay.domain.normalising import KINDS, normalise
from relay.domain.parsing import Row, parse_line
from relay.sandbox.changes import CHANGES
from relay.sandbox.config import SandboxConfig
from relay.sandbox.production import supply
from tests.unit.domain.test_envelope import DOCUMENTED

VALIDATORS = {name: Draft202012Validator(schema_of(name), validate_formats=True) for name in EVENT_TYPES}
GOLDEN = Path(__file__).parents[2] / "golden/bodies.ndjson"


def bodies(row: dict[str, Any], *, before: dict[str, Any] | None = None) -> Iterator[tuple[str, bytes]]:
    """The bodies of a row's event, as each of its types."""
    route = "all" if "act" in row else "itemisedCalls"
    mask = classify(row, route=route)
    types = codes_of(mask, None if before is None else classify(before, route=route))
    trigger = normalise(row)
    data = envelope.data(
        source=SourceUid("uk"),
        igrp=1,
        row_id=int(row["rowId"]),
        revision=1 if before is None else 2,
        classes=mask,
        trigger=trigger,
        previous=None if before is None else envelope.previous(normalise(before), trigger),
    )
    stored = envelope.encode(data, timestamp="2026-01-05T08:00:00.000Z")
    for code in types:
        yield EVENT_TYPES[code], envelope.head(code) + stored


def check(event_type: str, body: bytes) -> None:
    faults = [
        f"{'/'.join(map(str, each.instance_path))}: {each.message}"
        for each in VALIDATORS[event_type].iter_errors(json.loads(body))
    ]
    assert faults == [], event_type


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_schema_is_one_and_names_no_host(event_type: str) -> None:
    """Each type has a valid schema of its own, whose `$id` is a name and no address."""
    schema = schema_of(event_type)
    meta.validate(schema)
    assert schema["$schema"] == DIALECT
    ids = [each["$id"] for each in _objects(schema) if "$id" in each]
    assert ids == [f"urn:relay:event-type:{event_type}:1"]


def test_every_column_is_in_the_schemas() -> None:
    """A column that the relay gives a type is described."""
    columns = schema_of("call.created")["$defs"]["trigger"]["properties"]
    assert {name: each["$ref"] for name, each in columns.items()} == {
        name: f"#/$defs/{kind}" for name, kind in KINDS.items()
    }


def test_the_rows_of_the_sandbox_fit() -> None:
    """Every event of two thousand rows, and of their changes, fits the schema of each of its types."""
    met, random = set[str](), Random(5)
    lines = [line for batch in supply(SandboxConfig(seed=5, rows=2000)) for line in batch]
    rows: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines]
    for row in rows:
        found = list(bodies(row))
        for change in CHANGES.values():
            found += bodies(change(random, row), before=row)
        for event_type, body in found:
            check(event_type, body)
            met.add(event_type)
    assert met == set(EVENT_TYPES)


def test_the_documented_rows_fit() -> None:
    """The rows of Infinity's documentation, as a callback would have them, fit."""
    rows = [row for line in DOCUMENTED if isinstance(row := parse_line(line), Row)]
    assert rows
    for row in rows:
        for event_type, body in bodies(row.columns):
            check(event_type, body)
    for line in GOLDEN.read_bytes().splitlines():
        check(json.loads(line)["type"], line)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_example_is_an_event_of_its_type(event_type: str) -> None:
    """It fits the schema, its row has the class, and a change says what changed."""
    body = example_of(event_type)
    check(event_type, body)
    event = json.loads(body)
    assert event["type"] == event_type
    assert event_type.partition(".")[0] in event["data"]["classes"]
    assert ("previous" in event["data"]) == event_type.endswith(".updated")
    assert event["data"].get("previous") != {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("type",), "call.updated"),
        (("timestamp",), "2018-01-16 13:20:11"),
        (("data", "rowId"), 5),
        (("data", "classes"), ["goal"]),
        (("data", "trigger", "callDuration"), True),
        (("data", "trigger", "rec"), 1),
    ],
)
def test_what_is_no_such_event_does_not_fit(path: tuple[str, ...], value: Any) -> None:
    """A schema refuses what the relay would never send."""
    event = json.loads(example_of("call.created"))
    part = event
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    assert not VALIDATORS["call.created"].is_valid(event)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _objects(each)

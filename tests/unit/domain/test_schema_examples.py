"""Examples of schemas that others wrote."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from relay.domain.event_examples import example_of, newest
from relay.domain.json_text import decode
from relay.domain.schema_examples import MOST_NODES, example_of_schema

INVOICE: dict[str, Any] = {
    "type": "object",
    "required": ["id", "total", "lines", "due"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "total": {"type": "number", "minimum": 1.5},
        "due": {"type": ["string", "null"], "format": "date"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1},
        "state": {"enum": ["open", "paid"]},
        "customer": {"allOf": [{"$ref": "#/$defs/person"}, {"properties": {"vip": {"type": "boolean"}}}]},
    },
    "$defs": {
        "line": {"properties": {"text": {"type": "string", "examples": ["Windows"]}, "count": {"default": 2}}},
        "person": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "allOf", "anyOf", "$ref", "enum", "examples", "minimum", "format", "a"]
            ),
            inner | st.sampled_from(["object", "array", "string", "number", "#", "#/properties/a"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


def test_an_example_fits_its_schema() -> None:
    """The usual keywords lead to an example that is valid."""
    example = example_of_schema(INVOICE)
    assert example == {
        "id": "00000000-0000-4000-8000-000000000001",
        "total": 1.5,
        "due": "2018-01-16",
        "lines": [{"text": "Windows", "count": 2}],
        "state": "open",
        "customer": {"name": "string", "vip": True},
    }
    assert Draft202012Validator(INVOICE, validate_formats=True).is_valid(example)


def test_the_newest_schema_is_taken() -> None:
    """Versions are numbers, mostly; without any schema the example is an empty object."""
    schemas = {str(version): {"properties": {"v": {"const": version}}} for version in (1, 9, 10)}
    assert newest(schemas) == "10"
    assert decode(example_of("invoice.paid", schemas)) == {"v": 10}
    assert example_of("invoice.paid") == b"{}"
    assert example_of("call.created", schemas) == example_of("call.created")


@pytest.mark.parametrize("name", ["self", "wide"])
def test_an_example_has_a_bound(name: str) -> None:
    """A schema that refers to itself, also in many places, leads to an example of bounded size."""
    hostile = {
        "self": {"properties": {"next": {"$ref": "#"}}},
        "wide": {"properties": {str(i): {"$ref": "#"} for i in range(50)}},
    }
    assert _nodes(example_of_schema(hostile[name])) <= MOST_NODES + 100


@given(anything)
@settings(max_examples=300)
def test_any_schema_has_an_example(schema: Any) -> None:
    """Whatever stands for a schema: nothing is raised."""
    example_of_schema(schema)
    example_of("a", {"1": schema})


def _nodes(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_nodes, inner))

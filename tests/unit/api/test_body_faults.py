"""Faults of bodies against the library that converts them."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from relay.api.body_faults import Walk, type_of
from relay.api.schemas.applications import ApplicationIn, ApplicationPatch
from relay.api.schemas.checks import Policies
from relay.api.schemas.endpoint_parts import HeadersIn, HeadersPatchIn, SecretRotateIn
from relay.api.schemas.endpoints import EndpointIn, EndpointPatch, EndpointUpsertIn
from relay.api.schemas.sources import SourceIn
from relay.domain.addresses import EgressPolicy

SHAPES: dict[Any, dict[str, Any]] = {
    ApplicationIn: {"name": "n"},
    ApplicationPatch: {},
    EndpointIn: {"url": "https://a.example/"},
    EndpointUpsertIn: {"url": "https://a.example/"},
    EndpointPatch: {},
    HeadersIn: {"headers": {}},
    HeadersPatchIn: {},
    SecretRotateIn | None: {},
    SourceIn: {
        "baseUrl": "https://a.example", "igrp": 1, "routes": ["all"], "auth": {"type": "basic", "username": "u"}
    },
}  # fmt: skip
FIELDS = sorted(
    {
        name
        for shape in SHAPES
        for kind in (getattr(shape, "__args__", None) or (shape,))
        for name in getattr(kind, "__struct_encode_fields__", ())
    }
)
TEXTS = st.sampled_from(
    [
        "",
        "a",
        "a b",
        "a\n",
        "call.created",
        "fifo",
        "v1",
        "v2.1",
        "all",
        "basic",
        "apiKey",
        "x" * 300,
        "$or",
        "vid",
        "5",
    ]
)
NUMBERS = st.sampled_from([-1, 0, 0.01, 1, 1.0, 5, 65536, 2**53, 2**63 - 1, 2**63, 1e300])
KEYS = TEXTS | st.sampled_from(["type", "username", "password", "key", "token", "certificate", "privateKey", *FIELDS])
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(
    shape=st.sampled_from(list(SHAPES)),
    change=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3),
    whole=st.booleans(),
    other=VALUES,
)
def test_what_has_no_fault_is_converted(shape: Any, change: dict[str, Any], whole: bool, other: Any) -> None:
    """Nothing is left for the library to refuse, whose words say less; and nothing that it takes is coerced."""
    value = other if whole else SHAPES[shape] | change
    faults = list(Walk(Policies(EgressPolicy(), EgressPolicy())).faults(type_of(shape), value, ("body",)))
    if not faults:
        msgspec.convert(value, shape, strict=True)
    for fault in faults:
        assert fault.path[0] == "body"
        assert fault.message

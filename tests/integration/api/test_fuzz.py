"""Whatever a client sends, the answer is one of the API's own."""

from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.schemas.api_keys import ApiKeyIn, ApiKeyPatch, ApiKeyRotateIn
from relay.api.schemas.applications import ApplicationIn, ApplicationPatch
from relay.api.schemas.endpoint_parts import HeadersIn, HeadersPatchIn, SecretRotateIn
from relay.api.schemas.endpoints import EndpointIn, EndpointPatch, EndpointUpsertIn
from relay.api.schemas.sources import SourceIn

URL = "https://hooks.example.com/"


class Call(NamedTuple):
    """A route, and a body that is right for it."""

    method: str
    path: str
    shape: type[msgspec.Struct] | None = None
    right: dict[str, Any] | None = None


SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}
CALLS = (
    Call("PUT", "source/{}", SourceIn, SOURCE),
    Call("GET", "source/{}/route/{}"),
    Call("POST", "source/{}/pause"),
    Call("POST", "app", ApplicationIn, {"name": "n"}),
    Call("PUT", "app/{}", ApplicationIn, {"name": "n"}),
    Call("PATCH", "app/one", ApplicationPatch, {}),
    Call("POST", "app/one/endpoint", EndpointIn, {"url": URL}),
    Call("PUT", "app/one/endpoint/{}", EndpointUpsertIn, {"url": URL}),
    Call("PATCH", "app/one/endpoint/crm", EndpointPatch, {}),
    Call("PUT", "app/one/endpoint/crm/headers", HeadersIn, {"headers": {}}),
    Call("PATCH", "app/one/endpoint/crm/headers", HeadersPatchIn, {}),
    Call("POST", "app/one/endpoint/crm/secret/rotate", SecretRotateIn, {}),
    Call("GET", "app/one/msg"),
    Call("GET", "app/one/msg/{}"),
    Call("GET", "app/one/attempt/endpoint/crm"),
    Call("GET", "app/one/attempt/msg/{}"),
    Call("POST", "app/one/msg/{}/endpoint/crm/resend"),
    Call("GET", "app/one/endpoint/crm/msg"),
    Call("GET", "app/one/endpoint/crm/stats"),
    Call("GET", "event-type"),
    Call("GET", "app"),
    Call("GET", "source"),
    Call("GET", "undelivered"),
    Call("GET", "operational-event"),
    Call("GET", "audit"),
    Call("GET", "key"),
    Call("GET", "key/{}"),
    Call("POST", "key", ApiKeyIn, {"name": "n", "scopes": ["read"]}),
    Call("PATCH", "key/{}", ApiKeyPatch, {}),
    Call("POST", "key/{}/rotate", ApiKeyRotateIn, {}),
)
TEXTS = st.sampled_from(
    [
        "",
        "all",
        "apiKey",
        "bearer",
        "basic",
        "oauth2",
        "oauth2RefreshToken",
        "oauth2JwtBearer",
        "googleServiceAccount",
        "header",
        "query",
        URL,
        "https://[",
        "whsec_",
        "whsk_",
        "\x00",
        "é",
        "\U0001f600",
        "fifo",
    ]
)
NAMES = TEXTS | st.sampled_from(
    ["type", "key", "token", "tokenUrl", "in", "scopes", "claims", "privateKey", "$and", "$in", "$gt", "act"]
)
NUMBERS = st.integers(-1, 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
QUERIES = st.dictionaries(
    st.sampled_from(
        [
            "limit",
            "iterator",
            "order",
            "before",
            "after",
            "status",
            "event_types",
            "with_content",
            "app",
            "endpoint",
            "source",
        ]
    ),
    st.sampled_from(["", "1", "-1", "~", "~ep_x", "e30", "2026-01-01T00:00:00", "true", "é", "\x00", "9" * 30]),
    max_size=3,
)


@given(call=st.sampled_from(CALLS), data=st.data(), name=TEXTS, query=QUERIES)
@settings(max_examples=100)
async def test_no_request_makes_the_api_fail(
    http: httpx.AsyncClient, call: Call, data: st.DataObject, name: str, query: dict[str, str]
) -> None:
    """Right bodies with any values in some fields, any names and queries: an answer or a problem, and never a 500."""
    body = None
    if call.shape is not None:
        fields = st.sampled_from(call.shape.__struct_encode_fields__)
        body = {**(call.right or {}), **data.draw(st.dictionaries(fields, VALUES, max_size=2))}
    await http.put("/app/one", json={"name": "One"})
    await http.put("/app/one/endpoint/crm", json={"url": URL})
    path = call.path.replace("{}", quote(name or "_", safe=""))
    answer = await http.request(call.method, f"/{path}", json=body, params=query)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert isinstance(answer.json()["detail"], list if answer.status_code == 422 else str)

"""The OpenAPI document says all that somebody needs to create a source."""

import re
from pathlib import Path
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator

from relay.domain.model import ROUTES

PAGE = (Path(__file__).parents[3] / "docs/api.md").read_text()


async def test_the_document_says_how_to_create_a_source(http: httpx.AsyncClient) -> None:
    """Each field has a description, each default is given, each route is explained, and there is an example."""
    document: dict[str, Any] = (await http.get("http://relay/docs/openapi.json")).json()
    operation = document["paths"]["/api/v1/source/{uid}"]["put"]
    fields = document["components"]["schemas"]["SourceIn"]["properties"]
    assert [name for name, schema in fields.items() if not schema.get("description")] == []
    defaults = {name: schema["default"] for name, schema in fields.items() if "default" in schema}
    assert defaults == {"version": "v2.1", "pollIntervalSeconds": 60, "batchSize": 1000, "startRowId": None}
    routes = fields["routes"]["items"]
    assert set(routes["enum"]) == set(ROUTES) == set(routes["x-enum-descriptions"])
    for route in ROUTES:
        assert f"`{route}`: {routes['x-enum-descriptions'][route]}" in routes["description"]
    for word in ("pollIntervalSeconds", "startRowId", "60", "1000", *ROUTES):
        assert word in operation["description"]
    content = operation["requestBody"]["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}
    assert list(Draft202012Validator(schema).iter_errors(content["example"])) == []
    assert {"pollIntervalSeconds", "startRowId", "routes"} <= content["example"].keys()


async def test_the_example_works_and_the_answer_shows_what_applies(http: httpx.AsyncClient) -> None:
    """A source that is created with the required fields alone shows all the defaults."""
    document: dict[str, Any] = (await http.get("http://relay/docs/openapi.json")).json()
    content = document["paths"]["/api/v1/source/{uid}"]["put"]["requestBody"]["content"]["application/json"]
    assert (await http.put("/source/uk", json=content["example"])).status_code == 201
    least = {name: content["example"][name] for name in ("baseUrl", "igrp", "routes", "auth")}
    shown = (await http.put("/source/de", json=least)).json()
    assert {name: shown[name] for name in ("name", "version", "pollIntervalSeconds", "batchSize", "startRowId")} == {
        "name": "de", "version": "v2.1", "pollIntervalSeconds": 60, "batchSize": 1000, "startRowId": None,
    }  # fmt: skip


def test_the_page_explains_every_route() -> None:
    """docs/api.md has a row for each."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| \S", PAGE, re.MULTILINE)
    assert set(ROUTES) <= {route for row in rows for route in re.findall(r"\w+", row)}

"""Every operation of the published Svix client works, or is answered 501: as docs/api.md says."""

import ast
import inspect
import re
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import svix.api

DOCS = Path(__file__).parents[3] / "docs" / "api.md"
HOUSE = Path(inspect.getfile(svix.api)).parent


class Operation(NamedTuple):
    """A method of the client, and what it requests."""

    resource: str
    name: str
    method: str
    path: str


def operations() -> list[Operation]:
    """All of them, as the client's own code has them: each method makes one request."""
    found = []
    for file in sorted(HOUSE.glob("*.py")):
        for kind in ast.parse(file.read_text()).body:
            if isinstance(kind, ast.ClassDef) and not kind.name.endswith("Async"):
                found += [_operation(file.stem, method) for method in kind.body if isinstance(method, ast.FunctionDef)]
    return [each for each in found if each is not None]


def _operation(resource: str, method: ast.FunctionDef) -> Operation | None:
    for node in ast.walk(method):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_request_sync":
            texts = {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)}
            return Operation(resource, method.name, str(texts["method"]).upper(), str(texts["path"]))
    return None


def documented(heading: str) -> set[tuple[str, str]]:
    """The resources and methods in the table of docs/api.md that has this column."""
    table = DOCS.read_text().partition(f"| resource | {heading} |")[2].partition("\n\n")[0]
    rows = [[re.findall(r"`(\w+)`", cell) for cell in row.split("|")[1:3]] for row in table.splitlines()[2:]]
    return {(name, method) for (name,), methods in rows for method in methods}


OPERATIONS = operations()


def test_the_tables_have_every_operation() -> None:
    """Each in one of the two."""
    works, not_supported = documented("methods that work"), documented("methods that are answered 501")
    assert len(OPERATIONS) > 140
    assert works | not_supported == {(each.resource, each.name) for each in OPERATIONS}
    assert not works & not_supported


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.resource}.{each.name}")
async def test_it_is_answered_as_the_tables_say(operation: Operation, http: httpx.AsyncClient) -> None:
    """501 with what to use instead; or an answer of the operation itself, such as that it knows no such application."""
    path = re.sub(r"\{\w+\}", "made-up", operation.path)
    response = await http.request(operation.method, f"http://relay{path}")
    if (operation.resource, operation.name) in documented("methods that work"):
        assert response.status_code not in (405, 501)
        assert "no operation at this path" not in response.text
    else:
        assert (response.status_code, response.json()["code"]) == (501, "not_supported")
        assert response.headers["content-type"] == "application/problem+json"
        assert len(response.json()["detail"]) > 40

"""Descriptions of fields in the OpenAPI document: the text below a field in the class that declares it."""

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec


def describe_fields(components: dict[str, Any], *roots: type[msgspec.Struct]) -> None:
    """Add the description to each property of the components that are subclasses of `roots`.

    Descriptions of the components themselves are their docstrings, of which Python before 3.13 keeps the indentation.
    """
    texts = {kind.__name__: _texts(kind) for root in roots for kind in _below(root)}
    for component in components.values():
        if "description" in component:
            component["description"] = inspect.cleandoc(component["description"])
        named = texts.get(str(component.get("title", "")).partition("[")[0], {})
        for name, schema in component.get("properties", {}).items():
            if name in named:
                schema.setdefault("description", named[name])
            elif "enum" in schema and len(schema["enum"]) == 1:
                schema.setdefault("description", "Which of the forms this is")  # The tag of a union.


def _below(root: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    return [root, *(each for kind in root.__subclasses__() for each in _below(kind))]


def _texts(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The name of each field on the wire, with its text."""
    written: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            written |= _texts_in(base)
    wire = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    return {wire[name]: text for name, text in written.items() if name in wire}


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module by their names."""
    nodes = ast.walk(ast.parse(inspect.getsource(sys.modules[module])))
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


def _texts_in(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(text.value.value).replace("\n", " ")
        for field, text in pairwise(_classes(kind.__module__)[kind.__name__].body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }

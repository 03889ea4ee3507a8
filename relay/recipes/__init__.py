"""Recipes: endpoints for the APIs of CRMs and others, as data. Each is a JSON file in this folder.

Its transformation is in the file of the same name that ends with `.jsonata`. A recipe has parameters, which stand as
`${name}` in the texts of its endpoint. An endpoint that is made of a recipe is an ordinary endpoint.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import msgspec

from relay.errors import Fault, Invalid

PARAMETER = re.compile(r"\$\{([a-z][A-Za-z0-9]*)\}")
LONGEST_PATTERN_INPUT = 8192
"""Characters of a parameter's value."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Something that a recipe cannot know."""

    description: str
    example: str
    pattern: str = r".+"
    """A regular expression for the whole value."""
    form: str = "must not be empty"
    """The pattern in words."""
    default: str | None = None
    """None: the parameter is required."""
    secret: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A recipe, as its file has it."""

    title: str
    description: str
    parameters: dict[str, Parameter]
    endpoint: dict[str, Any]
    """The body of a request that creates an endpoint."""


@lru_cache(maxsize=1)
def recipes() -> Mapping[str, Recipe]:
    """All recipes by their names, in order."""
    folder = files(__name__)
    names = sorted(each.name.removesuffix(".json") for each in folder.iterdir() if each.name.endswith(".json"))
    return {name: _read(folder / f"{name}.json", folder / f"{name}.jsonata") for name in names}


def _read(described: Traversable, transformation: Traversable) -> Recipe:
    recipe = msgspec.json.decode(described.read_bytes(), type=Recipe)
    recipe.endpoint["transformation"] = transformation.read_text("utf-8").strip()
    return recipe


def endpoint_of(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint that a recipe makes of the values of its parameters.

    Raises Invalid for a value that is missing, unknown or of the wrong form.
    """
    if faults := list(_faults(recipe, given)):
        raise Invalid(*faults)
    values = {name: given.get(name, parameter.default) or "" for name, parameter in recipe.parameters.items()}
    filled: dict[str, Any] = _filled(recipe.endpoint, values)
    return filled


def _faults(recipe: Recipe, given: Mapping[str, Any]) -> Iterator[Fault]:
    place = ("body", "parameters")
    for name, parameter in recipe.parameters.items():
        value = given.get(name, parameter.default)
        if value is None:
            yield Fault((*place, name), f"is required: {parameter.description}", "missing")
        elif not isinstance(value, str):
            yield Fault((*place, name), "must be a string", "type_error")
        elif len(value) > LONGEST_PATTERN_INPUT or not re.fullmatch(parameter.pattern, value, re.DOTALL):
            yield Fault((*place, name), parameter.form)
    for name in given:
        if name not in recipe.parameters:
            known = ", ".join(f"`{each}`" for each in recipe.parameters)
            yield Fault((*place, name), f"is not a parameter of this recipe: its parameters are {known}", "extra")


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return PARAMETER.sub(lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    return value

"""Recipes on the wire."""

from typing import Any

from msgspec import UNSET

from relay.api.schemas.common import Out
from relay.errors import Fault, Invalid
from relay.recipes import Recipe, endpoint_of, recipes


class RecipeParameterOut(Out, frozen=True, kw_only=True):
    """Something that a recipe cannot know."""

    name: str
    """The name in `parameters`."""
    description: str
    """What it is."""
    example: str
    """An example."""
    required: bool
    """Whether you must send it."""
    default: str | None
    """The value that it has if you omit it."""
    secret: bool
    """Whether it is a secret: no response shows it."""


class RecipeOut(Out, frozen=True, kw_only=True):
    """A recipe: an endpoint for the API of a CRM or another system."""

    name: str
    """The name to send as `recipe` when you create an endpoint."""
    title: str
    """What it does, in a few words."""
    description: str
    """What it does and requires."""
    parameters: list[RecipeParameterOut]
    """What you send as `parameters`."""
    endpoint: dict[str, Any]
    """The endpoint that it creates. `${name}` stands for a parameter. Fields that you send replace its fields."""


def show_recipe(name: str, recipe: Recipe) -> RecipeOut:
    """A recipe as responses show it."""
    parameters = [
        RecipeParameterOut(
            name=each, description=parameter.description, example=parameter.example,
            required=parameter.default is None, default=parameter.default, secret=parameter.secret,
        )
        for each, parameter in recipe.parameters.items()
    ]  # fmt: skip
    return RecipeOut(
        name=name, title=recipe.title, description=recipe.description, parameters=parameters, endpoint=recipe.endpoint
    )


def expanded(value: Any) -> Any:
    """The body of a request that creates an endpoint, with the fields of the recipe that it names.

    Raises Invalid. A value of the wrong type stays: its fault is found later.
    """
    if not isinstance(value, dict):
        return value
    name, parameters = value.get("recipe", UNSET), value.get("parameters", {})
    if not isinstance(name, str):
        if isinstance(parameters, dict) and parameters and all(isinstance(each, str) for each in parameters.values()):
            raise Invalid(Fault(("body", "parameters"), "must be omitted: they are those of a `recipe`"))
        return value
    if (recipe := recipes().get(name)) is None:
        known = ", ".join(f"`{each}`" for each in recipes())
        raise Invalid(Fault(("body", "recipe"), f"is not a recipe: the recipes are {known}"))
    if not isinstance(parameters, dict):
        return value
    return endpoint_of(recipe, parameters) | value

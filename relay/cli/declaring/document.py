"""The file that `relay apply` reads: YAML or JSON, `${NAME}` for variables, and what its parts may be."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.cli.declaring.hiding import Hiding
from relay.cli.declaring.shapes import APPLICATION, ENDPOINT, SOURCE, Shape
from relay.cli.declaring.yaml_text import load
from relay.cli.faults import Misused

VARIABLE = re.compile(r"\$(\$)?\{([A-Z_][A-Z0-9_]{0,127})\}")
"""`${NAME}` is a variable, `$${NAME}` the text `${NAME}`. Recipes name their parameters in small letters."""
TOP = ("sources", "applications")


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a file declares, by uid. None: the file has no such section, and does not manage such objects."""

    sources: dict[str, dict[str, Any]] | None = None
    applications: dict[str, dict[str, Any]] | None = None
    endpoints: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By the uid of the application. An application is absent if it has no section `endpoints`."""
    of_recipes: Mapping[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """Endpoints of recipes with the fields of the recipe, by the uids of application and endpoint."""

    def compared_with(self, app: str, uid: str) -> dict[str, Any]:
        """The fields that an existing endpoint is compared with."""
        return self.of_recipes.get((app, uid)) or self.endpoints[app][uid]


def read(text: str, environ: Mapping[str, str]) -> tuple[Document, dict[str, str]]:
    """What a file declares, and the variables that it uses with their values. Raises Misused."""
    filling = _Filling(environ)
    filled = filling.value(load(text), "")
    if filling.missing:
        names = ", ".join(filling.missing)
        raise Misused(f"the file uses variables that are not set: {names}")
    try:
        return _document(filled), filling.used
    except Misused as error:
        # A message can repeat a value.
        raise Misused(Hiding(filling.used).text(str(error))) from None


def escaped(value: Any) -> Any:
    """A JSON value as a file has it, so that no text of it becomes a variable."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: "$" + found[0], value)
    if isinstance(value, list):
        return [escaped(each) for each in value]
    if isinstance(value, dict):
        return {name: escaped(each) for name, each in value.items()}
    return value


class _Filling:
    """Puts the values of variables into texts, and remembers which. Refuses what JSON does not have."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.used: dict[str, str] = {}
        self.missing: list[str] = []

    def value(self, value: Any, place: str) -> Any:
        if isinstance(value, str):
            return VARIABLE.sub(self._filled, value)
        if isinstance(value, list):
            return [self.value(each, f"{place}[{at}]") for at, each in enumerate(value)]
        if isinstance(value, dict):
            return {name: self.value(each, f"{place}.{name}".lstrip(".")) for name, each in value.items()}
        if isinstance(value, float) and not math.isfinite(value):
            raise Misused(f"{place}: must not be NaN or infinity")
        if value is not None and not isinstance(value, bool | int | float):
            raise Misused(f"{place}: must be a value that JSON has, not {type(value).__name__}")
        return value

    def _filled(self, found: "re.Match[str]") -> str:
        name = found[2]
        if found[1]:
            return f"${{{name}}}"
        value = self._environ.get(name)
        if not value:
            if name not in self.missing:
                self.missing.append(name)
            return ""
        if not value.isprintable() and any("\ud800" <= each <= "\udfff" for each in value):
            raise Misused(f"the variable {name} is not UTF-8")
        self.used[name] = value
        return value


def _document(loaded: Any) -> Document:
    whole = {} if loaded is None else _mapping(loaded, "the file")
    for name in whole:
        if name not in TOP:
            raise Misused(f"{name}: is unknown. A file has {' and '.join(TOP)}")
    sources = _section(whole, "sources", SOURCE)
    applications = _section(whole, "applications", APPLICATION)
    endpoints = {}
    for uid, application in (applications or {}).items():
        declared = _section(application, "endpoints", ENDPOINT, f"applications.{uid}.")
        application.pop("endpoints", None)
        if declared is not None:
            endpoints[uid] = declared
    return Document(sources=sources, applications=applications, endpoints=endpoints)


def _section(whole: dict[str, Any], name: str, shape: Shape, place: str = "") -> dict[str, dict[str, Any]] | None:
    if name not in whole:
        return None
    if whole[name] is None:
        # With --prune, a name that lost its lines would delete everything of its kind.
        raise Misused(f"{place}{name}: is empty. Write `{name}: {{}}` if there are none, or leave it out")
    found = {}
    for uid, value in _mapping(whole[name], f"{place}{name}").items():
        at = f"{place}{name}.{uid}"
        body = dict(_mapping(value, at))
        nested = {"endpoints": body.pop("endpoints")} if shape is APPLICATION and "endpoints" in body else {}
        found[uid] = shape.checked(body, uid, at) | nested
    return found


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Misused(f"{place}: must be a mapping of names and values")
    return value

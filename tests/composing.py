"""compose.yaml as Docker Compose reads it: variables replaced, and anchors merged."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FILE = ROOT / "compose.yaml"
EXAMPLE = ROOT / ".env.example"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


def read_compose(values: Mapping[str, str]) -> dict[str, Any]:
    """The file with some values for its variables. Raises KeyError if one that is required is missing or empty."""

    def value(found: "re.Match[str]") -> str:
        dollar, name, kind, text = found.groups()
        if dollar:
            return "$"
        if kind == "-":
            return values.get(name) or str(text)
        if not values.get(name):
            raise KeyError(name)
        return values[name]

    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    read: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(value, "\n".join(lines)))
    for service in read["services"].values():
        # In YAML, nothing is null. In a container it is an empty text.
        service["environment"] = {name: value or "" for name, value in service.get("environment", {}).items()}
    return read


def used() -> dict[str, bool]:
    """The variables of the file, and whether each is required."""
    found = _VARIABLE.findall(FILE.read_text())
    return {name: kind != "-" for _, name, kind, _ in found if name}


def example(*, with_sandbox: bool) -> dict[str, str]:
    """The values in .env.example; also those of the lines that have to be uncommented."""
    pattern = r"^#?([A-Z_]+)=(.*)$" if with_sandbox else r"^([A-Z_]+)=(.*)$"
    return dict(re.findall(pattern, EXAMPLE.read_text(), re.M))

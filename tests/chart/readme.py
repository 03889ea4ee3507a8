"""The README of the chart, generated from the comments in values.yaml: `python -m tests.chart.readme` writes it.

A comment that begins with `# --` describes the value below it, as in helm-docs. Other comments above a top-level name
introduce its section.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from tests.chart.rendering import CHART

PAGE = CHART / "README.md"
HEAD = """# infinity-event-relay

`make chart` generates this page from [values.yaml](values.yaml). A test fails if it is not current.

This chart installs the API and the workers of the relay. It needs Kubernetes 1.28 or newer, helm 3.17 or newer, and a
Redis or Valkey server. [docs/kubernetes.md](../docs/kubernetes.md) describes the installation, the Secret, upgrades,
autoscaling and network policies.

```sh
kubectl create namespace relay
kubectl --namespace relay create secret generic relay \\
  --from-literal=RELAY_REDIS_URL=redis://user:password@redis.example.com:6379/0 \\
  --from-literal=RELAY_ADMIN_KEY=$(openssl rand -hex 24) --from-literal=RELAY_ENCRYPTION_KEY=$(openssl rand -base64 32)
helm --namespace relay install relay ./helm --set existingSecret=relay --set image.repository=registry.example.com/relay
```

A name that is not on this page is refused, and so is a value that cannot work. The message has the path of the value.
"""
TYPES = {str: "string", int: "int", float: "float", bool: "bool", list: "list", dict: "object", type(None): "object"}


@dataclass(frozen=True)
class Row:
    """A value: its path, its default as Python has it, and its description, which is empty if it has none."""

    path: str
    default: object
    text: str


def rows() -> list[Row]:
    """All values in the order of the file. A described object is one row."""
    text = (CHART / "values.yaml").read_text("utf-8")
    return list(_rows(yaml.compose(text), yaml.safe_load(text), text.splitlines(), ""))


def undescribed() -> list[str]:
    """The paths of values without a description."""
    return [row.path for row in rows() if not row.text]


def render() -> str:
    """The whole page."""
    lines = (CHART / "values.yaml").read_text("utf-8").splitlines()
    sections: dict[str, list[Row]] = {"": []}
    for row in rows():
        sections.setdefault(row.path.partition(".")[0] if "." in row.path else "", []).append(row)
    return HEAD + "".join(_section(name, found, lines) for name, found in sections.items())


def _rows(node: yaml.Node, values: dict[str, object], lines: list[str], path: str) -> Iterator[Row]:
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        default = values[key.value]
        text = _comment(lines, key.start_mark.line, described=True)
        if text or not (isinstance(default, dict) and default):
            yield Row(path + key.value, default, text)
        else:
            yield from _rows(value, default, lines, f"{path}{key.value}.")


def _comment(lines: list[str], line: int, *, described: bool) -> str:
    """The comment above a line, with or without the mark of a description."""
    found: list[str] = []
    while line and (comment := re.match(r"\s*# ?(.*)", lines[line - 1])):
        line -= 1
        found.insert(0, comment[1])
        if comment[1].startswith("-- "):
            break
    is_described = bool(found) and found[0].startswith("-- ")
    return " ".join(found).removeprefix("-- ") if found and is_described == described else ""


def _section(name: str, found: list[Row], lines: list[str]) -> str:
    title = f"`{name}`" if name else "General"
    text = _comment(lines, lines.index(f"{name}:"), described=False) if name else ""
    table = "".join(f"| `{row.path}` | {TYPES[type(row.default)]} | {_default(row)} | {row.text} |\n" for row in found)
    intro = f"{text}\n\n" if text else ""
    return f"\n## {title}\n\n{intro}| value | type | default | what it does |\n|---|---|---|---|\n{table}"


def _default(row: Row) -> str:
    return f"`{json.dumps(row.default, ensure_ascii=False)}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")

"""docs/configuration.md, made from relay.config.Settings: `python -m relay.cli.configuration` writes it anew."""

import dataclasses
from pathlib import Path
from typing import Any

from relay.config import Settings, variable

PAGE = Path("docs/configuration.md")
HEAD = """# Settings

Made from `relay/config.py` by `python -m relay.cli.configuration`; a test fails when it is not current.

The API and the workers read the same variables. A name that begins with `RELAY_` and is not listed stops the start, and
so does a value that breaks its rule; all faults are told at once. An empty value counts as not set.

```sh
export RELAY_ADMIN_KEY=$(openssl rand -hex 24)
export RELAY_ENCRYPTION_KEY=$(openssl rand -base64 32)
```

| variable | default | what it does |
|---|---|---|
"""


def render() -> str:
    """The whole page."""
    rows = (
        f"| `{variable(setting.name)}` | {_default(setting)} | {setting.metadata['text']} |\n"
        for setting in dataclasses.fields(Settings)
    )
    return HEAD + "".join(rows)


def _default(setting: "dataclasses.Field[Any]") -> str:
    if setting.metadata["needed"]:
        return "**needed**"
    value = setting.default
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(map(_number, value))}`"
    return f"`{_number(value)}`"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value).removesuffix(".0")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")

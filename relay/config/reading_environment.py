"""Reads settings from an environment, by the readers that the fields of Settings name."""

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from relay.config.client_variables import CLIENT_VARIABLES
from relay.config.kubernetes import ignored
from relay.errors import Fault


def read_settings(known: Mapping[str, "Field[Any]"], environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    """The values that are set, by the names of fields, and every fault. `known`: the fields by their variables."""
    texts = {name: value.strip() for name, value in environ.items() if name.startswith("RELAY_")}
    for name in ignored(environ):
        del texts[name]
    faults = [
        Fault((name,), "is no setting of the relay; docs/configuration.md lists them all", "unknown")
        for name in sorted(texts)
        if name not in known and name not in CLIENT_VARIABLES and not name.startswith("RELAY_TEST_")
    ]
    read: dict[str, Any] = {}
    for name, setting in known.items():
        if not (text := texts.get(name, "")):
            if setting.metadata["needed"]:
                faults.append(Fault((name,), f"is required: {setting.metadata['text']}", "missing"))
            continue
        try:
            read[setting.name] = setting.metadata["read"](text)
        except ValueError as error:
            faults.append(Fault((name,), str(error)))
    return read, faults

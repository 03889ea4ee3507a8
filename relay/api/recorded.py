"""The OpenAPI document that is shipped with the relay. `make openapi` records it (relay.api.document)."""

from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

import msgspec

FILE: Final = "openapi.json"


def read_document() -> dict[str, Any]:
    """The document, with the version of this installation."""
    document: dict[str, Any] = msgspec.json.decode(files("relay.api").joinpath("static", FILE).read_bytes())
    document["info"]["version"] = version("infinity-event-relay")
    return document

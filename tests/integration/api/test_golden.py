"""docs/openapi.json is the document that the API serves, so that a change of the API shows in a review."""

from pathlib import Path

import msgspec
import pytest

from tests.integration.api.documented import Documented

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_document_is_the_recorded_one(application: Documented, pytestconfig: pytest.Config) -> None:
    """But for the version of the package. `make openapi` records it anew."""
    document = application.state.document
    found = msgspec.json.format(msgspec.json.encode(document | {"info": document["info"] | {"version": ""}}), indent=1)
    if pytestconfig.getoption("write"):
        FILE.write_bytes(found + b"\n")
    assert FILE.read_bytes() == found + b"\n", "the API has changed: record it anew with `make openapi`"

"""The recorded document is what the API does, so that a change of the API shows in a review."""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from relay.api.recorded import FILE, read_document
from tests.integration.api.documented import Documented

PATH = Path(str(files("relay.api").joinpath("static", FILE)))


def test_the_document_is_the_recorded_one(application: Documented, pytestconfig: pytest.Config) -> None:
    """`make openapi` records it anew."""
    found = msgspec.json.format(msgspec.json.encode(application.state.document), indent=1)
    if pytestconfig.getoption("write"):
        PATH.write_bytes(found + b"\n")
    assert PATH.read_bytes() == found + b"\n", "the API has changed: record it anew with `make openapi`"


def test_it_is_served_with_the_version_of_the_package(application: Documented) -> None:
    """The record has none, so that a release changes nothing in it."""
    served = read_document()
    assert served["info"] == application.state.document["info"] | {"version": version("infinity-event-relay")}
    assert served["paths"] == application.state.document["paths"]

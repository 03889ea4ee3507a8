"""The SBOM has every distribution of the image, with version, hash and licence."""

import copy
import json
import re
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.release import components, sbom
from tests.release.components import Document, normalised

IMAGE = (sbom.ROOT / "requirements/image.txt").read_text()


def locked() -> dict[str, tuple[str, str]]:
    """The packages of the image on this machine: version and first hash by name."""
    found = {}
    for line in re.sub(r"\\\n\s+", "", IMAGE).splitlines():
        requirement = Requirement(line.partition("--hash")[0])
        if requirement.marker is None or requirement.marker.evaluate():
            (version,) = requirement.specifier
            found[normalised(requirement.name)] = (version.version, line.partition("--hash=sha256:")[2].split()[0])
    return found


@pytest.fixture(scope="module", name="document")
def _document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """The SBOM of an environment with the metadata of what the image has."""
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for name in [*locked(), "infinity-event-relay"]:
        metadata = Path(str(distribution(name).locate_file(""))) / distribution(name)._path.name  # type: ignore[attr-defined]
        (packages / metadata.name).symlink_to(metadata)
    report = {
        "install": [
            {"metadata": {"name": name}, "download_info": {"archive_info": {"hashes": {"sha256": digest}}}}
            for name, (_, digest) in [*locked().items(), ("infinity-event-relay", ("", "0" * 64))]
        ]
    }
    return sbom.completed(sbom.describe(folder / "bin/python"), sbom.hashes(report))


def installed() -> list[str]:
    """What the image's Python would print."""
    own = f"infinity_event_relay=={distribution('infinity-event-relay').version}"
    return [own, *(f"{name}=={version}" for name, (version, _) in locked().items())]


def test_every_locked_package_is_in_it(document: Document) -> None:
    """With the version and a hash of the lock file, and a licence. A package without a licence belongs in CONCLUDED."""
    assert components.faults(document, installed()) == []
    for name, (_, digest) in locked().items():
        assert components.listed(document)[name]["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_it_is_about_the_relay(document: Document) -> None:
    """The relay is the application that the document describes."""
    about = document["metadata"]["component"]
    assert (about["name"], about["type"]) == ("infinity-event-relay", "application")


def test_it_fits_the_schema(document: Document) -> None:
    """That of CycloneDX 1.6, without unknown fields. `make sbom` checks the whole document, with every link."""
    fewer = copy.deepcopy(document)
    for component in fewer["components"][1:]:
        # A link takes 10 ms.
        component.pop("externalReferences", None)
    assert sbom.invalid(json.dumps(fewer)) == ""
    fewer["components"][1]["hashes"] = [{"alg": "SHA-256", "content": "no hash"}]
    assert "no hash" in sbom.invalid(json.dumps(fewer))


def test_what_differs_from_the_image_is_named(document: Document) -> None:
    """A release stops with these lines."""
    there = [line.replace("h11==0.", "h11==9.") for line in installed() if not line.startswith("idna=")]
    wrong = copy.deepcopy(document)
    del components.listed(wrong)["click"]["licenses"]
    said = components.faults(wrong, [*there, "malware==1"])
    assert said[0] == "idna: is not installed"
    assert "malware: is installed and not listed" in said
    assert "click: has no licenses" in said
    assert any(re.fullmatch(r"h11: 9\.\S+ is installed, 0\.\S+ is listed", each) for each in said)

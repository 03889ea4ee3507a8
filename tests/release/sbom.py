"""The SBOM of the image, in CycloneDX: `make sbom` writes it.

It installs requirements/image.txt and the relay's wheel as the Dockerfile does, and asks cyclonedx-py what is there.
pip's own report of the installation has the hash of each file that it took.
"""

import argparse
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.release import components, installed
from tests.release.components import Document, normalised

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build/sbom"
PYTHON = FOLDER / "environment/bin/python"
SPECIFICATION = SchemaVersion.V1_6
CONCLUDED = {"protobuf": "BSD-3-Clause"}
"""SPDX identifiers of distributions whose metadata has none: read in the licence that is in the wheel."""


def hashes(report: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file that pip installed, by the normalised name of its distribution.

    `report` is what `pip install --report` wrote.
    """
    return {
        normalised(each["metadata"]["name"]): each["download_info"]["archive_info"]["hashes"]["sha256"]
        for each in report["install"]
    }


def completed(sbom: Document, digests: Mapping[str, str]) -> Document:
    """An SBOM with the hashes of its components, and the licences that their metadata does not name."""
    for name, component in components.listed(sbom).items():
        if name in digests:
            component["hashes"] = [{"alg": "SHA-256", "content": digests[name]}]
        if name in CONCLUDED and not component.get("licenses"):
            component["licenses"] = [{"license": {"id": CONCLUDED[name], "acknowledgement": "concluded"}}]
    return sbom


def invalid(text: str) -> str:
    """What the schema of CycloneDX says against a document. Empty: nothing."""
    error = JsonStrictValidator(SPECIFICATION).validate_str(text)
    return str(error) if error else ""


def describe(python: Path) -> Document:
    """What cyclonedx-py says of an environment; the relay itself is the component that the document is about."""
    command = [
        sys.executable, "-m", "cyclonedx_py", "environment", str(python), "--pyproject", str(ROOT / "pyproject.toml"),
        "--spec-version", SPECIFICATION.to_version(), "--output-reproducible", "--no-validate",
    ]  # fmt: skip
    found: Document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> int:
    """Install, describe, check and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.release.sbom", description=__doc__)
    parser.add_argument("file", type=Path, help="where the SBOM is written")
    args = parser.parse_args()
    digests = _install()
    sbom = completed(describe(PYTHON), digests)
    text = json.dumps(sbom, indent=2, sort_keys=True) + "\n"
    there = subprocess.run([PYTHON, installed.__file__], check=True, capture_output=True, text=True).stdout.split()
    wrong = [*components.faults(sbom, there), *filter(None, [invalid(text)])]
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    args.file.parent.mkdir(exist_ok=True)
    args.file.write_text(text, encoding="utf-8")
    print(f"{args.file}: {len(there)} distributions")
    return 0


def _install() -> dict[str, str]:
    """An environment with what the image has. Gives the hashes of its distributions."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    venv.create(PYTHON.parents[1], with_pip=False, symlinks=True)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", FOLDER], cwd=ROOT, check=True)
    (wheel,) = FOLDER.glob("*.whl")
    locked = _pip("--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / "requirements/image.txt"))
    return {**locked, **_pip(str(wheel))}


def _pip(*what: str) -> dict[str, str]:
    report = FOLDER / "report.json"
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--report", str(report), *what], check=True)
    return hashes(json.loads(report.read_text("utf-8")))


if __name__ == "__main__":
    raise SystemExit(main())

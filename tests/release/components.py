"""An SBOM against what is installed: `python3 -m tests.release.components SBOM INSTALLED`. Needs Python alone.

INSTALLED is what tests/release/installed.py printed in the image.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

Document = dict[str, Any]


def normalised(name: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(sbom: Document) -> dict[str, Document]:
    """The components by their normalised names, and the relay itself."""
    return {normalised(each["name"]): each for each in [sbom["metadata"]["component"], *sbom.get("components", [])]}


def faults(sbom: Document, installed: list[str]) -> list[str]:
    """What an SBOM lacks. `installed` has the lines `name==version`."""
    components = listed(sbom)
    there = {normalised(name): version for name, _, version in (line.partition("==") for line in installed)}
    wrong = [f"{name}: is not installed" for name in sorted(components.keys() - there)]
    for name, version in sorted(there.items()):
        component = components.get(name)
        if component is None:
            wrong.append(f"{name}: is installed and not listed")
            continue
        if component.get("version") != version:
            wrong.append(f"{name}: {version} is installed, {component.get('version')} is listed")
        wrong += [f"{name}: has no {what}" for what in ("hashes", "licenses") if not component.get(what)]
    return wrong


def main() -> int:
    """Say what is missing."""
    sbom, installed = (Path(name).read_text("utf-8") for name in sys.argv[1:3])
    wrong = faults(json.loads(sbom), installed.split())
    for each in wrong:
        print(each, file=sys.stderr)
    if not wrong:
        print(f"The SBOM lists all {len(installed.split())} distributions, each with a hash and a licence.")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

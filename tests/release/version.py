"""One version for a release: `python3 -m tests.release.version v0.2.0` compares what names it. Needs Python alone.

`--notes` prints what the changelog says of it.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAG = re.compile(r"v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")


def faults(tag: str, *, project: str, chart: str, changelog: str) -> list[str]:
    """What does not name the version of a tag, each with what to do. The texts are those of the three files."""
    matched = TAG.fullmatch(tag)
    if matched is None:
        return [f"the tag {tag!r} is not a version: name it like v1.2.3"]
    version = matched[1]
    named = {
        "pyproject.toml: project.version": tomllib.loads(project)["project"]["version"],
        "helm/Chart.yaml: version": chart_field(chart, "version"),
        "helm/Chart.yaml: appVersion": chart_field(chart, "appVersion"),
    }
    wrong = [f"{place} is {found!r}: set it to {version}" for place, found in named.items() if found != version]
    if not notes(changelog, version):
        wrong.append(f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD` with entries: rename Unreleased to it")
    return wrong


def chart_field(chart: str, name: str) -> str:
    """A field of Chart.yaml at the top level. Empty: it has none."""
    found = re.search(rf"^{name}: *[\"']?([^\s\"'#]+)", chart, re.M)
    return found[1] if found else ""


def notes(changelog: str, version: str) -> str:
    """The entries of a version, without its heading. Empty: there are none, or its heading has no date."""
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", changelog, re.M | re.DOTALL)
    return found[1].strip() if found else ""


def main() -> int:
    """Say what disagrees, or print the notes."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.release.version", description=__doc__)
    parser.add_argument("tag", help="such as v1.2.3")
    parser.add_argument("--notes", action="store_true", help="print the entries of the changelog")
    args = parser.parse_args()
    project, chart, changelog = (
        (ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "helm/Chart.yaml", "CHANGELOG.md")
    )
    wrong = faults(args.tag, project=project, chart=chart, changelog=changelog)
    for each in wrong:
        print(each, file=sys.stderr)
    if args.notes and not wrong:
        print(notes(changelog, args.tag.removeprefix("v")))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

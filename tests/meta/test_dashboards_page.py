"""docs/dashboards.md explains every panel, and its pictures are those of the dashboards."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/dashboards.md").read_text()
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "helm/files/dashboards").glob("*.json"))
}
MOST_BYTES = 300_000


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_panel_is_explained(dashboard: str) -> None:
    """In the order of the dashboard, each with what it shows, what is normal, and what to do if it is not."""
    read = DASHBOARDS[dashboard]
    section = PAGE.partition(f"\n## {read['title']}\n")[2].partition("\n## ")[0]
    rows = [row.strip("| ").split(" | ") for row in re.findall(r"^\| .+ \|$", section, re.M)]
    explained = [row for row in rows if row[0] != "panel"]
    assert [row[0] for row in explained] == [each["title"] for each in read["panels"] if each["type"] != "row"]
    assert all(len(row) == 4 for row in explained)
    headings = re.findall(r"^### (.+)$", section, re.M)
    assert headings == [each["title"] for each in read["panels"] if each["type"] == "row"]


def test_the_pictures_are_small_and_shown() -> None:
    """Each picture is on the page, and none is large. `make dashboards` draws them."""
    pictures = sorted((ROOT / "docs/pictures").glob("relay-*.png"))
    assert {f"pictures/{path.name}" for path in pictures} == set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE))
    assert {path.name: path.stat().st_size for path in pictures if path.stat().st_size > MOST_BYTES} == {}

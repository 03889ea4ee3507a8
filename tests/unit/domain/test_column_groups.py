"""The groups of columns are those of docs/columns.md."""

import re
from pathlib import Path

from relay.domain.column_groups import GROUPS, TAG_PREFIXES, TAGS

PAGE = (Path(__file__).parents[3] / "docs/columns.md").read_text()


def columns_of(section: str) -> tuple[str, ...]:
    """The columns in the table of a section."""
    text = re.split(r"^## ", PAGE.partition(f"\n## {section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = (line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| column"))
    return tuple(name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1]))


def test_each_group_has_the_columns_of_its_section() -> None:
    """In their order."""
    assert {name: columns_of(name) for name in GROUPS} == GROUPS
    assert tuple(each.removesuffix("…") for each in columns_of(TAGS)) == TAG_PREFIXES

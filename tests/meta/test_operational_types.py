"""Every operational event that the relay notes has a type in the catalogue, and a line in the documents."""

import re
from pathlib import Path

from relay.domain.operational_types import FIELDS, TYPES

ROOT = Path(__file__).parents[2]
CALLS = re.compile(r"""(?:note|report_once|found)\(\s*(?:[^,()]+, )?(f?"[a-z_{}.]+\.[a-z_{}.]+")""")


def noted() -> set[str]:
    """The types in the code, with `*` where a part of the name is computed."""
    texts = (path.read_text() for part in ("relay", "workers") for path in ROOT.glob(f"{part}/**/*.py"))
    names = {name for text in texts for name in CALLS.findall(text)}
    return {re.sub(r"\{[^}]*\}", "*", name.lstrip("f").strip('"')) for name in names}


def test_every_type_that_is_noted_is_described() -> None:
    """In the catalogue, so that endpoints can select it and receivers know its schema."""
    found = noted()
    assert len(found) > 10
    unknown = [
        name
        for name in found
        if not any(re.fullmatch(re.escape(name).replace(r"\*", "[a-z_]+"), known) for known in TYPES)
    ]
    assert unknown == []


def test_the_page_has_every_type() -> None:
    """docs/operational-webhooks.md has the table of the catalogue."""
    page = (ROOT / "docs/operational-webhooks.md").read_text()
    table = page.partition("<!-- types -->")[2].partition("<!-- /types -->")[0]
    assert re.findall(r"^\| `(\S+)` \| (.+) \|$", table, re.M) == [(n, t.description) for n, t in TYPES.items()]


def test_every_field_is_used() -> None:
    """None is left of an event that is no more."""
    assert {field for each in TYPES.values() for field in (*each.fields, *each.optional)} == set(FIELDS)

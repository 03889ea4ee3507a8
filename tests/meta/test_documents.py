"""Documents say what is true: generated ones are current, links lead somewhere, nothing is left out."""

import re
import tomllib
from pathlib import Path

import pytest

from relay.api.schemas.event_types import show_own
from relay.cli import configuration
from relay.cli.main import COMMANDS
from relay.domain.event_types import EVENT_TYPES

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_settings_page_is_current() -> None:
    """Every setting is documented, with its default: run `python -m relay.cli.configuration` after a change."""
    assert (ROOT / configuration.PAGE).read_text() == configuration.render()


def test_the_chart_knows_every_setting() -> None:
    """The chart accepts each setting and no other: run `python -m relay.cli.configuration` after a change."""
    schema = (ROOT / configuration.CHART_SCHEMA).read_text()
    assert schema == configuration.render_chart_schema(schema)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link names an existing file and a heading in it; if its text is a test, the file has that test."""
    missing = []
    for text, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        wrong_anchor = anchor and not (file.suffix == ".md" and anchor in anchors(file))
        if not file.exists() or wrong_anchor or (text.startswith("test_") and f"def {text}(" not in file.read_text()):
            missing.append(target)
    assert missing == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        number = sum(each == anchor or re.fullmatch(re.escape(anchor) + r"-\d+", each) is not None for each in found)
        found.add(f"{anchor}-{number}" if number else anchor)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_no_page_says_a_heading_twice(page: str) -> None:
    """A section that stands there twice is half wrong after the next change, and links lead to the first one."""
    prose = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.M | re.DOTALL)
    titles = re.findall(r"^##? (.+)$", prose, re.M)
    repeated = {title for title in titles if titles.count(title) > 1}
    assert repeated == set()


def test_records_are_numbered() -> None:
    """One after the other, and each heading has the number of its file."""
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for number, record in enumerate(records, 1):
        assert record.read_text().startswith(f"# {number}. ")


def test_the_page_of_events_has_every_type() -> None:
    """The table of types is that of the catalogue, in the order of precedence."""
    page = (ROOT / "docs/events.md").read_text()
    table = page.partition("<!-- types -->")[2].partition("<!-- /types -->")[0]
    shown = re.findall(r"^\| `(\S+)` \| (.+) \|$", table, re.M)
    assert shown == [(name, show_own(name, with_content=False).description) for name in EVENT_TYPES]


def test_there_is_one_api_helper() -> None:
    """The pages define the same shell function, and every example calls it in the same way. A subscriber has a KEY."""
    helpers = {page: re.findall(r"^api\(\) \{.*?; \}$", (ROOT / page).read_text(), re.M | re.DOTALL) for page in PAGES}
    found = [helper for each in helpers.values() for helper in each]
    assert len(found) == 3
    assert len({helper.replace("$KEY", "$RELAY_ADMIN_KEY") for helper in found}) == 1
    calls = [
        (page, call)
        for page in PAGES
        for call in re.findall(r"(?:^|`)(api [^`|\n]+[^`|\n ])(?=`|$)", (ROOT / page).read_text(), re.M)
    ]
    assert len(calls) > 30
    assert [call for call in calls if not re.match(r"api (?:GET|POST|PUT|PATCH|DELETE) ", call[1])] == []


def test_every_dependency_says_what_it_is_for() -> None:
    """docs/dependencies.md has one line for each dependency of pyproject.toml, and none for others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = project["dependencies"] + [line for group in project["optional-dependencies"].values() for line in group]
    names = {re.split(r"[\[<>=;!~ ]", line)[0] for line in listed} - {project["name"]}
    documented = set(re.findall(r"^\| `([\w.-]+)` \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE))
    assert documented == names


def test_the_changelog_is_open_for_the_next_release() -> None:
    """There is always a place to note a change."""
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_first_screen_of_the_readme_says_it_all() -> None:
    """What it is, for whom, the two commands, and a small picture of the console (`make pictures` takes it)."""
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:18])
    assert "It is for companies" in first
    assert "\nmake demo " in first
    assert "\nmake test " in first
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", first)
    assert (ROOT / picture).stat().st_size < 200_000


def test_the_readme_names_every_command() -> None:
    """What `relay` can do is told on the first page."""
    readme = (ROOT / "README.md").read_text()
    assert all(f"`relay {command}`" in readme for command in COMMANDS)

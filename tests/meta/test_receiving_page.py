"""docs/receiving.md and docs/columns.md: their code is what tests run, and their figures are right."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from relay.api.schemas.event_types import show_own
from relay.domain.event_types import EVENT_TYPES
from relay.domain.filtering import compile_filter
from relay.domain.normalising import KINDS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/receiving.md"
COLUMNS = ROOT / "docs/columns.md"
LANGUAGES = {".py": "python", ".mjs": "js", ".go": "go", ".php": "php", ".cs": "csharp", ".java": "java", ".ru": "ruby"}
VERIFIED = "Signature Verified Successfully"


def render(page: str) -> str:
    """The page with the receivers' files, what the commands print, and the table of schemas in their places."""

    def file(found: re.Match[str]) -> str:
        path = ROOT / found[1]
        return f"<!-- file: {found[1]} -->\n```{LANGUAGES[path.suffix]}\n{path.read_text()}```\n"

    rows = "".join(
        f"| `{name}` | [schema](schemas/{name}.schema.json) | [sample](schemas/{name}.example.json) |\n"
        for name in EVENT_TYPES
    )
    page = re.sub(r"<!-- file: (\S+) -->\n(?:```\w+\n.*?^```\n)?", file, page, flags=re.DOTALL | re.MULTILINE)
    rows = f"| type | schema | sample |\n|---|---|---|\n{rows}"
    return re.sub(r"(<!-- schemas -->\n).*?(?=<!-- /schemas -->)", lambda found: found[1] + rows, page, flags=re.DOTALL)


def test_the_page_has_the_files_that_tests_run(pytestconfig: pytest.Config) -> None:
    """After a change of a receiver: `make schemas`."""
    page = PAGE.read_text()
    if pytestconfig.getoption("write"):
        PAGE.write_text(render(page))
    assert PAGE.read_text() == render(page), "run `make schemas`"
    assert {Path(path).suffix for path in re.findall(r"<!-- file: (\S+) -->", page)} == set(LANGUAGES)


def test_the_signature_can_be_checked_by_hand(tmp_path: Path) -> None:
    """The commands of the page, one after the other, print what the page says."""
    section = PAGE.read_text().partition("## Check a signature by hand")[2].partition("\n## ")[0]
    *commands, output = re.findall(r"```(?:sh|text)\n(.*?)```", section, re.DOTALL)
    done = _bash("".join(commands), tmp_path)
    assert done.stdout == output, done.stderr
    assert "v1 is right" in output
    assert VERIFIED in output
    body = (tmp_path / "body").read_bytes()
    assert f"{len(body)} bytes" in section
    changed = "".join(commands).replace("cat body; }", "cat body; echo; }")
    wrong = _bash(changed, tmp_path)
    assert "v1 is right" not in wrong.stdout
    assert VERIFIED not in wrong.stdout


def test_the_signature_is_that_of_the_page_of_callbacks() -> None:
    """Both pages show one callback and one pair of keys."""
    page, callbacks = PAGE.read_text(), (ROOT / "docs/callbacks.md").read_text()
    parts = dict(re.findall(r"^(ID|TIMESTAMP|SECRET|PUBLIC|V1|V1A)=(\S+)$", page, re.M))
    assert len(parts) == 6
    assert [name for name, part in parts.items() if part not in callbacks] == []
    assert re.search(r"printf %s '(\{.*\})' >body", page)[1] in callbacks  # type: ignore[index]


def test_the_versions_are_those_that_tests_install() -> None:
    """A library has one version: in the table, in the comment of its receiver, and in the file that installs it."""
    page = PAGE.read_text()
    table = dict(re.findall(r"^\| (\w+#?) \| `[^|]*\| v?([\d.]+)", page, re.M))
    folder = ROOT / "tests/clients/receivers"
    assert (
        table["JavaScript"]
        == json.loads((folder / "javascript/package.json").read_text())["dependencies"]["standardwebhooks"]
    )
    assert f"libraries v{table['Go']}\n" in (folder / "go/go.mod").read_text()
    assert f"<version>{table['Java']}</version>" in (folder / "java/pom.xml").read_text()
    assert f'"standardwebhooks", "{table["Ruby"]}"' in (folder / "ruby/Gemfile").read_text()
    assert f'"StandardWebhooks" Version="{table["C#"]}"' in (folder / "csharp/receiver.csproj").read_text()
    assert f"standardwebhooks=={table['Python']}\n" in (ROOT / "requirements/dev.txt").read_text().replace(" \\", "")
    for name in ("Python", "JavaScript", "Go", "Java", "Ruby", "C#"):
        assert len(re.findall(rf"^(?:#|//) .*\b{re.escape(table[name])}", page, re.M)) > 0, name


def test_every_type_has_a_line() -> None:
    """The descriptions of types stand in docs/events.md; this page links what is written down for each."""
    for name in EVENT_TYPES:
        assert show_own(name, with_content=False).name == name
        assert f"](schemas/{name}.schema.json)" in PAGE.read_text()


def test_every_column_has_one_meaning() -> None:
    """The page of columns has each known column in one table, and no other."""
    groups = COLUMNS.read_text().partition("\n## The row\n")[2]
    named = [name for cell in re.findall(r"^\| (`[^|]+) \|", groups, re.M) for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(KINDS)


def test_the_filters_for_answered_calls_are_filters() -> None:
    """They say what the text says: of an answered call, one that rang, and one that lacks the columns."""
    text = COLUMNS.read_text()
    answered = re.search(r'```json\n(\{"act": "call", "\$or".*?)\n```', text)
    missed = re.search(r'`(\{"act": "call", "callStage".*?\})`\.', text)
    assert answered
    assert missed
    rows = [{"act": "call", "callStage": "bridge"}, {"act": "call", "callStage": "", "bridgeDuration": 5}]
    others = [{"act": "call", "callStage": "ring", "bridgeDuration": 0}, {"act": "call"}]
    for each, right in [(row, True) for row in rows] + [(row, False) for row in others]:
        assert _passes(answered[1], each) is right
        assert _passes(missed[1], each) is not right


def _passes(text: str, row: dict[str, object]) -> bool:
    return bool(compile_filter(json.loads(text))({"trigger": row}))


def _bash(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", commands], cwd=folder, capture_output=True, text=True, check=False)

"""docs/subscribing.md: pasted into a terminal as it stands, each block prints what the page shows."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/subscribing.md"
MARK = "=== end of a block"
RUNS_WITHIN_S = 200


@dataclass(frozen=True)
class Step:
    """A block of commands, and what it prints. Blocks without an output print nothing."""

    commands: str
    output: str


def steps() -> list[Step]:
    """The steps of the page, in order."""
    found = list[Step]()
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        if language == "sh":
            found.append(Step(text, ""))
        else:
            assert found[-1].output == "", "a block has one output"
            found[-1] = Step(found[-1].commands, text)
    return found


def as_pattern(output: str) -> str:
    """A regular expression of what the page shows: `…` is anything within a line."""
    return r"[^\n]+?".join(re.escape(part) for part in output.strip().split("…"))


@pytest.mark.timeout(RUNS_WITHIN_S + 60)
@pytest.mark.parametrize("ports", [("RELAY_PORT", "RELAY_WORKER_PORT", "HOOKS_PORT")])
def test_each_block_prints_what_the_page_shows(shell: "subprocess.Popen[str]") -> None:
    """A real API, worker and Redis; the receiver of the page."""
    pasted = "".join(f"{each.commands}\necho '{MARK}'\n" for each in steps())
    out, err = shell.communicate(pasted + "wait\n", timeout=RUNS_WITHIN_S)
    *printed, _ = out.split(f"{MARK}\n")
    for step, text in zip(steps(), printed, strict=True):
        assert re.fullmatch(as_pattern(step.output), text.strip()), (step.commands, text, err)
    assert "Traceback" not in err, err


def test_the_page_shows_every_part() -> None:
    """An output that matched anything would prove nothing."""
    shown = "".join(each.output for each in steps())
    for part in ("signatures=1", "signatures=2", "(401)", "the database is down", "schedule_used_up", "finished"):
        assert part in shown

"""docs/subscribing.md: pasted into a terminal as it stands, each block prints what the page shows."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.pages import as_pattern, steps_of

PAGE = Path(__file__).parents[2] / "docs/subscribing.md"
MARK = "=== end of a block"
RUNS_WITHIN_S = 200


@pytest.mark.timeout(RUNS_WITHIN_S + 60)
@pytest.mark.parametrize("ports", [("RELAY_PORT", "RELAY_WORKER_PORT", "HOOKS_PORT")])
def test_each_block_prints_what_the_page_shows(shell: "subprocess.Popen[str]") -> None:
    """A real API, worker and Redis; the receiver of the page."""
    pasted = "".join(f"{each.commands}\necho '{MARK}'\n" for each in steps_of(PAGE))
    out, err = shell.communicate(pasted + "wait\n", timeout=RUNS_WITHIN_S)
    *printed, _ = out.split(f"{MARK}\n")
    for step, text in zip(steps_of(PAGE), printed, strict=True):
        assert re.fullmatch(as_pattern(step.output), text.strip()), (step.commands, text, err)
    assert "Traceback" not in err, err


def test_the_page_shows_every_part() -> None:
    """An output that matched anything would prove nothing."""
    shown = "".join(each.output for each in steps_of(PAGE))
    for part in ("signatures=1", "signatures=2", "(401)", "the database is down", "schedule_used_up", "finished"):
        assert part in shown

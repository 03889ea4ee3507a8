"""docs/tutorial.md: pasted into a terminal as it stands, each block prints what the page shows."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import bash
from tests.e2e.pages import as_pattern, steps_of
from tests.e2e.terminals import terminal
from tests.patience import PATIENCE_S

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
PORTS = ("RELAY_PORT", "RELAY_WORKER_PORT", "SANDBOX_PORT", "HUBSPOT_PORT")
MARK = "=== end of a block"
RUNS_WITHIN_S = 200


@pytest.mark.timeout(RUNS_WITHIN_S + 60)
def test_each_block_prints_what_the_page_shows(checkout: Path) -> None:
    """A real sandbox, API, worker and stand-in. The page of the console has the answer that the page promises."""
    installs, *steps = steps_of(PAGE)
    assert installs.commands.endswith("make install\n")
    with terminal(columns=80) as (out, shown), bash(checkout, PORTS, out=out) as shell:
        for step in steps:
            before = shown()
            type_in(shell, f"{step.commands}\necho '{MARK}'\n")
            text = printed(shell, shown, len(before))
            assert re.fullmatch(as_pattern(step.output), trimmed(text)), (step.commands, text)
            if step.output.strip().endswith("/endpoints/hubspot"):
                assert "hs_call_to_number does not exist" in visited(text.strip(), checkout)


def type_in(shell: "subprocess.Popen[str]", text: str) -> None:
    assert shell.stdin
    shell.stdin.write(text)
    shell.stdin.flush()


def printed(shell: "subprocess.Popen[str]", shown: Callable[[], str], start: int) -> str:
    """What a block printed."""
    deadline = time.monotonic() + RUNS_WITHIN_S
    while MARK not in (text := shown()[start:]):
        assert shell.poll() is None, text
        assert time.monotonic() < deadline, text
        time.sleep(0.02)
    return text.partition(MARK)[0]


def trimmed(text: str) -> str:
    """Without spaces at the ends of lines, which tables have."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def visited(url: str, checkout: Path) -> str:
    """The page of the console at this URL."""
    key = re.search(r"RELAY_ADMIN_KEY=(\w+)", (checkout / "data/relay.env").read_text())
    assert key
    origin = url.partition("/console")[0]
    with httpx.Client(base_url=origin, timeout=PATIENCE_S, trust_env=False) as visitor:
        visitor.post("/console/sign-in", data={"key": key[1]}, headers={"origin": origin})
        return visitor.get(url).text

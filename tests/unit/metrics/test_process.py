"""The metrics of a process name operational events as the log and the callbacks do."""

import re
from pathlib import Path

from relay.metrics.process import KINDS, WITH_THEIR_CAUSE

CODE = Path(__file__).parents[3] / "relay"


def test_every_event_that_a_process_notes_is_shown_from_the_start() -> None:
    """`increase` does not see a counter that begins with 1. A name that nothing notes would stay 0 and mislead."""
    text = "\n".join(
        path.read_text() for part in ("pipeline", "store", "outbound") for path in (CODE / part).rglob("*.py")
    )
    noted = set(re.findall(r'\.(?:note|report_once)\(\s*"([a-z_.]+)"', text))
    assert {"source.unauthorized", "quarantine.growing"} <= noted
    assert noted <= set(KINDS)
    assert not noted & WITH_THEIR_CAUSE

"""Pages whose blocks are pasted into a terminal: what is pasted, and what the page says that it prints."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """A block of commands, and what it prints. Blocks without an output print nothing."""

    commands: str
    output: str


def steps_of(page: Path) -> list[Step]:
    """The steps of a page, in order."""
    found = list[Step]()
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        if language == "sh":
            found.append(Step(text, ""))
        else:
            assert found[-1].output == "", "a block has one output"
            found[-1] = Step(found[-1].commands, text)
    return found


def as_pattern(output: str) -> str:
    """A regular expression of what the page shows: `…` is anything within a line."""
    return r"[^\n]+?".join(re.escape(part) for part in output.strip().split("…"))

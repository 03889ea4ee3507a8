"""Figures, and how they are printed: a table that grows as they come, or a line of JSON each."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

WIDTHS = (36, 16, 21, 14, 19)
HEAD = ("what", "figure", "from – to", "ratio", "goal")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: the median of its runs, and the ratio to its baseline of the same run."""

    part: str
    what: str
    values: Sequence[float]
    """One for each run."""
    unit: str
    ratio: float | None = None
    baseline: str = ""
    """What the ratio is to."""
    ratios: Mapping[str, float] = field(default_factory=dict)
    """Where there are several baselines: the ratio to each by its name."""
    goal: str = ""
    note: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers, for JSON only."""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)


class Report:
    """Prints figures as they come. `as_json`: one object a line, and nothing else on standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def begin(self, part: str, text: str) -> None:
        """Say which part comes, and what it does."""
        if not self._as_json:
            print(
                f"\n## {part}: {text}\n\n{_line(HEAD)} note\n{_line(['-' * width for width in WIDTHS])} ----",
                flush=True,
            )

    def add(self, figure: Figure) -> None:
        """Print one figure."""
        if self._as_json:
            print(json.dumps(_fields(figure)), flush=True)
            return
        low, high = min(figure.values), max(figure.values)
        spread = f"{_number(low)} – {_number(high)}" if len(figure.values) > 1 else ""
        ratios = figure.ratios or ({} if figure.ratio is None else {figure.baseline: figure.ratio})
        ratio = " / ".join(f"{each:.2f}" if figure.ratios else f"{each:.3g}" for each in ratios.values())
        note = "; ".join(filter(None, (figure.note, ratios and f"ratio to {' / '.join(ratios)}")))
        print(
            _line([figure.what, f"{_number(figure.value)} {figure.unit}", spread, ratio, figure.goal]), note, flush=True
        )

    def say(self, text: str) -> None:
        """Tell of something that is no figure, on standard error."""
        print(text, file=sys.stderr, flush=True)


def _fields(figure: Figure) -> dict[str, object]:
    return {
        "part": figure.part, "what": figure.what, "value": round(figure.value, 4), "unit": figure.unit,
        "runs": [round(value, 4) for value in figure.values], "ratio": figure.ratio and round(figure.ratio, 4),
        "ratios": {name: round(ratio, 4) for name, ratio in figure.ratios.items()},
        "baseline": figure.baseline, "goal": figure.goal, "note": figure.note, **figure.more,
    }  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))

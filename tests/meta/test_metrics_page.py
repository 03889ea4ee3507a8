"""docs/metrics.md says what metrics there are."""

from pathlib import Path

import pytest

from relay.metrics.table import METRICS, Metric

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
BEGIN, END = "<!-- metrics -->\n", "<!-- /metrics -->"
PARTS = {
    "Of the store as a whole": lambda each: each.scope == "store",
    "Of one worker": lambda each: each.scope == "process" and each.of == "worker",
    "Of one process of the API": lambda each: each.of == "api",
    "Of every process": lambda each: each.of == "both",
}


def render() -> str:
    """The tables of the page."""
    parts = []
    for title, belongs in PARTS.items():
        rows = "\n".join(_row(each) for each in METRICS if belongs(each))
        parts.append(f"### {title}\n\n| metric | kind | meaning | labels |\n|---|---|---|---|\n{rows}\n")
    return "\n" + "\n".join(parts) + "\n"


def _row(metric: Metric) -> str:
    return f"| `{metric.name}` | {metric.kind} | {metric.help} | {metric.values} |"


def test_the_page_has_every_metric(request: pytest.FixtureRequest) -> None:
    """After a change: `pytest --write tests/meta/test_metrics_page.py`."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    current = before + BEGIN + render() + END + after
    if request.config.getoption("--write"):
        PAGE.write_text(current)
    assert text == current or request.config.getoption("--write")

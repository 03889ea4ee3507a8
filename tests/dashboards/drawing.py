"""Draws panels of a dashboard, by their places, units, legends and thresholds in its JSON, with matplotlib."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.dashboards.asking import STEP_S, Line, Span

COLUMN_IN, ROW_IN, DPI = 0.58, 0.36, 100
"""A dashboard has 24 columns."""
GAP = 0.12
MOST_NAMED = 8
COLOURS = {"green": "#56a64b", "yellow": "#e0b400", "orange": "#ff780a", "red": "#e02f44", "blue": "#3274d9"}
LINES = ["#3274d9", "#56a64b", "#ff780a", "#e02f44", "#8f3bb8", "#e0b400", "#37872d", "#1f60c4", "#c4162a", "#a352cc"]
Panels = list[tuple[dict[str, Any], list[Line]]]


def draw(panels: Panels, span: Span, to: Path) -> None:
    """Write a PNG with some panels where their grid has them."""
    top = min(panel["gridPos"]["y"] for panel, _ in panels)
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels) - top
    size = (24 * COLUMN_IN, rows * ROW_IN)
    figure = Figure(figsize=size, dpi=DPI, facecolor="#f4f5f5")
    for panel, lines in panels:
        at = panel["gridPos"]
        place = (
            at["x"] * COLUMN_IN / size[0], 1 - (at["y"] - top + at["h"]) / rows,
            at["w"] * COLUMN_IN / size[0], at["h"] / rows,
        )  # fmt: skip
        _panel(figure, place, size, panel, lines, span)
    figure.savefig(to, pil_kwargs={"optimize": True})


def _panel(
    figure: Figure,
    place: tuple[float, ...],
    size: tuple[float, float],
    panel: dict[str, Any],
    lines: list[Line],
    span: Span,
) -> None:
    x, y, width, height = place
    inch_x, inch_y = 1 / size[0], 1 / size[1]
    frame = figure.add_axes((x + 0.04 * inch_x, y + 0.04 * inch_y, width - 0.08 * inch_x, height - 0.08 * inch_y))
    frame.set(xticks=[], yticks=[])
    frame.set_facecolor("white")
    for spine in frame.spines.values():
        spine.set_color("#d8d9da")
    figure.text(
        x + GAP * inch_x,
        y + height - 0.26 * inch_y,
        panel["title"],
        fontsize=9 if panel["type"] != "stat" else 7.5,
        weight="bold",
        color="#24292e",
    )
    inner = (x + 0.75 * inch_x, y + 0.8 * inch_y, width - 0.95 * inch_x, height - 1.2 * inch_y)
    unit = text_of(panel["fieldConfig"]["defaults"].get("unit", "short"))
    current = [line for line in lines if line.points[-1][0] > span.end - 2 * STEP_S]
    if panel["type"] == "timeseries":
        left = -0.65 / (inner[2] * size[0])
        _series(figure.add_axes(inner), lines, span, unit, left=left)
    elif panel["type"] == "stat":
        _stat(frame, current, unit, panel["fieldConfig"]["defaults"]["thresholds"]["steps"])
    else:
        _table(frame, current)


def _series(axes: Axes, lines: list[Line], span: Span, unit: Callable[[float], str], *, left: float) -> None:
    """`left`: where the legend begins, in widths of the axes."""
    for colour, line in zip(LINES * 3, lines, strict=False):
        points = [(at - span.end, value) for at, value in line.points if math.isfinite(value)]
        axes.plot(
            [at / 60 for at, _ in points], [value for _, value in points], color=colour, linewidth=1, label=line.name
        )
    axes.set_xlim((span.begin - span.end) / 60, 0)
    _, top = axes.get_ylim()
    axes.set_ylim(0, top if top > 0 and lines else 1)
    axes.tick_params(labelsize=7, colors="#52545c", length=0)
    axes.grid(color="#e9edf2", linewidth=0.6)
    axes.xaxis.set_major_formatter(lambda minutes, _: "now" if abs(minutes) < 1e-9 else f"{minutes:g} min")
    axes.yaxis.set_major_formatter(lambda value, _: unit(value))
    for spine in axes.spines.values():
        spine.set_visible(False)
    if lines:
        handles, names = axes.get_legend_handles_labels()
        shown = [name if len(name) < 34 else name[:33] + "…" for name in names[:MOST_NAMED]]
        axes.legend(
            handles[:MOST_NAMED], shown, fontsize=6.5, ncols=4 if max(map(len, shown)) < 12 else 2, frameon=False,
            loc="upper left", bbox_to_anchor=(left, -0.12), columnspacing=1, handlelength=1, labelspacing=0.2,
        )  # fmt: skip
    else:
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", fontsize=9, color="#8e8e8e")


def _stat(frame: Axes, lines: list[Line], unit: Callable[[float], str], steps: list[dict[str, Any]]) -> None:
    values = [line.points[-1][1] for line in lines]
    for i, (line, value) in enumerate(zip(lines, values, strict=False)):
        colour = next(
            (each["color"] for each in reversed(steps) if each["value"] is None or value >= each["value"]), ""
        )
        x = (i + 0.5) / len(values)
        text = unit(value) if math.isfinite(value) else "No data"
        size = 20 if len(values) < 2 else 15
        frame.text(x, 0.42, text, transform=frame.transAxes, ha="center", va="center", fontsize=size,
                   color=COLOURS.get(colour, "#24292e"), weight="bold")  # fmt: skip
        if len(values) > 1:
            frame.text(x, 0.12, line.name, transform=frame.transAxes, ha="center", fontsize=7, color="#52545c")
    if not values:
        frame.text(0.5, 0.42, "No data", transform=frame.transAxes, ha="center", fontsize=12, color="#8e8e8e")


def _table(frame: Axes, lines: list[Line]) -> None:
    """The labels of what there is at the end."""
    rows = [line.labels for line in lines]
    names = sorted({name for row in rows for name in row})
    for i, row in enumerate([dict(zip(names, names, strict=True)), *rows][:9]):
        for j, name in enumerate(names):
            weight, at = ("bold" if i == 0 else "normal"), (0.05 + j * 0.65, 0.82 - i * 0.09)
            frame.text(*at, row.get(name, ""), transform=frame.transAxes, fontsize=7, weight=weight, color="#24292e")
    if not rows:
        frame.text(0.5, 0.45, "No data", transform=frame.transAxes, ha="center", fontsize=9, color="#8e8e8e")


def text_of(unit: str) -> Callable[[float], str]:
    """How a value with one of Grafana's units is written."""
    return {
        "cps": lambda value: f"{_short(value)} c/s",
        "percentunit": lambda value: f"{value * 100:.3g} %",
        "bytes": lambda value: f"{value / 2**20:.3g} MiB",
        "s": _duration,
    }.get(unit, _short)


def _short(value: float) -> str:
    for size, name in ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")):
        if abs(value) >= size:
            return f"{value / size:.3g}{name}"
    return f"{value:.3g}"


def _duration(value: float) -> str:
    for size, name in ((3600, "h"), (60, "min"), (1, "s")):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value * 1000:.3g} ms" if value else "0 s"

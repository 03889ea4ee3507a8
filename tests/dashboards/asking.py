"""Asks Prometheus what a panel shows, as Grafana does."""

import re
from typing import Any, NamedTuple

import httpx

STEP_S = 2
RATE_INTERVAL = "30s"
"""Grafana takes four scrapes at least. Short lines are hard to read with less."""


class Span(NamedTuple):
    """What a dashboard shows, in seconds since 1970."""

    begin: float
    end: float


class Line(NamedTuple):
    """One series of a panel."""

    name: str
    points: list[tuple[float, float]]
    """Seconds since 1970, and values."""
    labels: dict[str, str]


async def lines_of(
    panel: dict[str, Any], client: httpx.AsyncClient, span: Span, variables: dict[str, str]
) -> list[Line]:
    """The series of all targets of a panel, in their order."""
    return [line for target in panel["targets"] for line in await _lines(target, client, span, variables)]


async def _lines(
    target: dict[str, Any], client: httpx.AsyncClient, span: Span, variables: dict[str, str]
) -> list[Line]:
    query = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
    for name, value in variables.items():
        query = query.replace(f"${name}", value)
    asked = {"query": query, "start": f"{span.begin:.3f}", "end": f"{span.end:.3f}", "step": str(STEP_S)}
    answer = await client.get("/api/v1/query_range", params=asked)
    answer.raise_for_status()
    return [
        Line(_named(target, each["metric"]), [(at, float(value)) for at, value in each["values"]], each["metric"])
        for each in answer.json()["data"]["result"]
    ]


def _named(target: dict[str, Any], labels: dict[str, str]) -> str:
    legend = target.get("legendFormat", "")
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend).strip() or str(labels)

"""`python -m tests.dashboards [--seconds N] [--seed N]`: runs the relay, and draws its dashboards into docs/pictures.

No Grafana takes part: it is a large program that no registry of packages has. Panels are drawn from the dashboards'
JSON and the answers of a real Prometheus. Needs the program `prometheus`.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests.dashboards.asking import Span, lines_of
from tests.dashboards.drawing import draw
from tests.dashboards.running import ROOT, Running, running

DASHBOARDS = ROOT / "helm/files/dashboards"
PICTURES = ROOT / "docs/pictures"
WARM_UP_S = 20
"""Until rates have enough scrapes."""


def parts_of(dashboard: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The panels of each picture of a dashboard, by the name of the picture: one for each of its rows."""
    parts: dict[str, list[dict[str, Any]]] = {}
    name = dashboard["uid"]
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            name = f"{dashboard['uid']}-{panel['title'].lower().replace(' ', '-')}"
        else:
            parts.setdefault(name, []).append(panel)
    return parts


async def main() -> None:
    """Run, ask and draw."""
    parser = argparse.ArgumentParser(prog="python -m tests.dashboards", description=__doc__)
    parser.add_argument("--seconds", type=float, default=360, help="how long the relay runs")
    parser.add_argument("--seed", type=int, default=1, help="what the receivers leave to chance follows from it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        async with running(Path(folder), arguments.seed) as run:
            began = time.time()
            await run.live(arguments.seconds)
            await _draw(run, Span(began + WARM_UP_S, time.time()))


async def _draw(run: Running, span: Span) -> None:
    PICTURES.mkdir(exist_ok=True)
    found = (await run.api.get(f"app/{run.application}/endpoint/down")).json()
    async with httpx.AsyncClient(base_url=run.prometheus, timeout=60) as client:
        for path in sorted(DASHBOARDS.glob("*.json")):
            for name, panels in parts_of(json.loads(path.read_text())).items():
                shown = [(each, await lines_of(each, client, span, {"endpoint": found["id"]})) for each in panels]
                draw(shown, span, PICTURES / f"{name}.png")
                print(f"docs/pictures/{name}.png: {(PICTURES / f'{name}.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    asyncio.run(main())

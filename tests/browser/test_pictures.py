"""The picture of the README: the console with the world of the demo. `make pictures` takes it again."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.patience import PATIENCE_S

PICTURE = Path(__file__).parents[2] / "docs/pictures/console.png"
LARGEST = 200_000
"""Bytes: the README loads it."""
MINUTES = 10
"""So many minutes of attempts are on the picture that is kept."""


@pytest.fixture
def demo() -> Iterator[tuple[str, str]]:
    """A demo that runs: the URL of its relay, and the key."""
    command = [sys.executable, "-m", "relay.cli.main", "demo", "--rate", "6"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout
        introduced = ""
        for line in process.stdout:
            introduced += line
            if line.startswith("Ctrl-C"):
                break
        # What nobody reads would stop the demo.
        reader = threading.Thread(target=process.stdout.read)
        reader.start()
        url, key = re.search(r"(http\S+)/console", introduced), re.search(r"the key (\w+)", introduced)
        assert url
        assert key
        yield url[1], key[1]
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
        process.wait(2 * PATIENCE_S)
        reader.join()


@pytest.mark.timeout(1200)
def test_the_picture_shows_the_world_of_the_demo(
    demo: tuple[str, str], browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A failing and a paused endpoint and a source are on it, and the file is small. It is written with --write."""
    writes = request.config.getoption("--write")
    url, key = demo
    wait_for_attempts(url, key, minutes=MINUTES if writes else 1)
    page = browser.new_page(viewport={"width": 1280, "height": 1100}, color_scheme="light")
    page.goto(f"{url}/console/sign-in")
    page.fill("#key", key)
    page.click("button")
    page.goto(f"{url}/console?span=hour")
    for word in ("Demo installation", "billing", "archive"):
        expect(page.get_by_text(word).first).to_be_visible()
    file = PICTURE if writes else tmp_path / "console.png"
    page.screenshot(path=file)
    assert file.stat().st_size < LARGEST
    assert PICTURE.stat().st_size < LARGEST


def wait_for_attempts(url: str, key: str, *, minutes: int) -> None:
    """Until attempts of so many minutes are in the chart."""
    deadline = time.monotonic() + 60 * minutes + 2 * PATIENCE_S
    with httpx.Client(base_url=f"{url}/api/v1", headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE_S) as api:
        while len(api.get("/stats/history?unit=minute").json()["buckets"]) < minutes:
            assert time.monotonic() < deadline
            time.sleep(0.5)

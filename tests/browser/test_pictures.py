"""The pictures of the README and of docs/console.md: the world of the demo. `make pictures` takes them again."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.patience import PATIENCE_S

FOLDER = Path(__file__).parents[2] / "docs/pictures"
LARGEST = 200_000
"""Bytes: a page loads each of them."""
MINUTES = 10
"""So many minutes of attempts are on the pictures that are kept."""


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
def test_the_pictures_show_the_world_of_the_demo(
    demo: tuple[str, str], browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What each page is about is on it, and the files are small. They are written with --write."""
    writes = request.config.getoption("--write")
    url, key = demo
    wait_for_world(url, key, minutes=MINUTES if writes else 1)
    context = browser.new_context(viewport={"width": 1280, "height": 1100}, color_scheme="light")
    page = context.new_page()
    page.goto(f"{url}/console/sign-in")
    page.fill("#key", key)
    page.click("button")
    for name, (leads, words) in PICTURES.items():
        leads(page, f"{url}/console")
        for word in words:
            expect(page.get_by_text(word).first).to_be_visible(timeout=PATIENCE_S * 1000)
        file = (FOLDER if writes else tmp_path) / f"{name}.png"
        page.screenshot(path=file)
        assert file.stat().st_size < LARGEST
        assert (FOLDER / f"{name}.png").stat().st_size < LARGEST
    context.close()


def see_overview(page: Page, at: str) -> None:
    """The overview of the last hour."""
    page.goto(f"{at}?span=hour")


def see_route(page: Page, at: str) -> None:
    """A route with its readings behind the cursor."""
    page.goto(f"{at}/sources/demo/routes/all")


def see_failing(page: Page, at: str) -> None:
    """The endpoint that refuses everything."""
    page.goto(f"{at}/applications/crm/endpoints/billing")


def see_message(page: Page, at: str) -> None:
    """A message, from the list of an endpoint's attempts."""
    page.goto(f"{at}/applications/crm/endpoints/leads")
    page.locator("a[href*='/messages/']").first.click()


def see_undelivered(page: Page, at: str) -> None:
    """What was not delivered, by reason."""
    page.goto(f"{at}/undelivered")


def see_tail(page: Page, at: str) -> None:
    """The live tail, when it has a screen full of attempts."""
    page.goto(f"{at}/tail")
    expect(page.locator("#tail tbody tr").nth(11)).to_be_visible(timeout=PATIENCE_S * 1000)


PICTURES: dict[str, tuple[Callable[[Page, str], None], tuple[str, ...]]] = {
    "console": (see_overview, ("Demo installation", "billing")),
    "console-route": (see_route, ("Readings behind the cursor", "Changed rows")),
    "console-endpoint": (see_failing, ("billing", "Recent attempts", "401")),
    "console-message": (see_message, ("Deliveries", "Why the row has its classes")),
    "console-undelivered": (see_undelivered, ("By reason", "schedule used up")),
    "console-tail": (see_tail, ("Listening for attempts", "Delivered")),
}
"""Each picture: how to get to its page, and what must be there."""


def wait_for_world(url: str, key: str, *, minutes: int) -> None:
    """Until attempts of so many minutes are in the chart, and a receiver has failed for a whole retry schedule."""
    deadline = time.monotonic() + 60 * minutes + 4 * PATIENCE_S
    with httpx.Client(base_url=f"{url}/api/v1", headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE_S) as api:
        while (
            len(api.get("/stats/history?unit=minute").json()["buckets"]) < minutes
            or not api.get("/undelivered?state=dead").json()["data"]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.5)

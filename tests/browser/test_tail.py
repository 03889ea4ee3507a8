"""The live tail in a real browser: on screen at once, bounded, paused, filtered, and over with the session."""

import asyncio
import time
from functools import partial

import msgspec
from playwright.sync_api import Page, Route, expect

from relay.domain.tail import Batch, Entry
from relay.store.tail import Tail
from relay.wiring import Stores
from tests.browser.serving import Served, stored
from tests.integration.api.test_tail import PLAIN
from tests.patience import PATIENCE_S

PER_SECOND, SECONDS = 200, 10
STREAM = "text/event-stream"
WATCH = """() => {
  window.delays = []; window.most = 0;
  const body = document.querySelector("#tail tbody");
  new MutationObserver((changes) => requestAnimationFrame(() => {
    const now = Date.now();
    window.most = Math.max(window.most, body.rows.length);
    for (const change of changes) for (const row of change.addedNodes)
      window.delays.push(now - Date.parse(row.cells[0].textContent.replace(" ", "T") + "Z"));
  })).observe(body, {childList: true});
}"""
"""From the end of an attempt to the frame of the browser in which its row is."""


def entry(number: int, **fields: object) -> Entry:
    """An attempt that ends now."""
    now_ms = time.time_ns() // 1_000_000
    return msgspec.structs.replace(PLAIN, at_ms=now_ms, row_id=str(number), attempt_id=f"atmpt_{number}", **fields)


def publish(redis_url: str, *entries: Entry) -> None:
    """As a worker does."""

    async def do(stores: Stores) -> None:
        await Tail(stores.redis).publish(Batch(list(entries)))

    stored(redis_url, do)


def follow(page: Page, relay: Served, query: str = "") -> None:
    """Open the page, and wait until it listens."""
    page.goto(f"{relay.url}/console/tail{query}")
    expect(page.get_by_role("status")).to_contain_text("Listening", timeout=PATIENCE_S * 1000)


async def attempts(first: int, stores: Stores) -> None:
    """Those of a second, each at its time."""
    loop, tail = asyncio.get_running_loop(), Tail(stores.redis)
    began = loop.time()
    for number in range(PER_SECOND):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - loop.time()))
        await tail.publish(Batch([entry(first + number)]))


def test_every_attempt_comes_on_screen(scripted: Page, relay: Served, redis_url: str) -> None:
    """At 200 a second, and the page keeps the newest 200 rows. It prints how long they took.

    A second's attempts begin when those of the one before are on screen: a browser that is slower misses none.
    """
    follow(scripted, relay)
    scripted.evaluate(WATCH)
    for second in range(SECONDS):
        first = second * PER_SECOND
        stored(redis_url, partial(attempts, first))
        deadline = time.monotonic() + PATIENCE_S
        while scripted.evaluate("window.delays.length") < first + PER_SECOND:
            assert time.monotonic() < deadline
            scripted.wait_for_timeout(50)
    delays = sorted(scripted.evaluate("window.delays"))
    p50, p99 = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
    print(
        f"{len(delays)} attempts at {PER_SECOND}/s: on screen after p50 {p50} ms, p99 {p99} ms, at most {delays[-1]} ms"
    )
    assert scripted.evaluate("window.most") == 200


def test_the_tail_is_paused_and_resumed(scripted: Page, relay: Served, redis_url: str) -> None:
    """Meanwhile nothing moves, and nothing is lost up to 200 attempts."""
    follow(scripted, relay)
    rows = scripted.locator("#tail tbody tr")
    publish(redis_url, entry(1))
    expect(rows).to_have_count(1, timeout=PATIENCE_S * 1000)
    scripted.get_by_role("button", name="Pause").click()
    expect(scripted.get_by_role("status")).to_contain_text("Paused")
    publish(redis_url, entry(2), entry(3))
    scripted.wait_for_timeout(500)
    expect(rows).to_have_count(1)
    scripted.get_by_role("button", name="Resume").click()
    expect(rows).to_have_count(3, timeout=PATIENCE_S * 1000)
    assert rows.first.get_attribute("data-attempt") == "atmpt_3"
    scripted.get_by_role("button", name="Clear").click()
    expect(rows).to_have_count(0)


def test_attempts_that_did_not_come_are_told(scripted: Page, relay: Served) -> None:
    """Also if the relay does not know how many: Redis was interrupted."""
    said = scripted.get_by_role("status")
    for attempts, words in (("12", "12 attempts came too fast"), ("null", "could not tell how many")):
        stream = f'event: lost\ndata: {{"type":"lost","attempts":{attempts}}}\n\n'
        answer = {"body": stream, "content_type": STREAM}
        scripted.route("**/tail/stream*", partial(Route.fulfill, **answer))
        scripted.goto(f"{relay.url}/console/tail")
        expect(said).to_contain_text(words, timeout=PATIENCE_S * 1000)
        scripted.unroute("**/tail/stream*")


def test_the_filter_is_in_the_address(scripted: Page, relay: Served, redis_url: str) -> None:
    """A form sets it, and the stream follows it."""
    follow(scripted, relay)
    scripted.select_option("#f-outcomes", "dead")
    scripted.get_by_role("button", name="Show").click()
    scripted.wait_for_url("**/console/tail?*outcomes=dead*")
    expect(scripted.get_by_role("status")).to_contain_text("Listening", timeout=PATIENCE_S * 1000)
    publish(redis_url, entry(1), entry(2, ending="dead", status=0, error="timeout"))
    row = scripted.locator("#tail tbody tr")
    expect(row).to_have_count(1, timeout=PATIENCE_S * 1000)
    expect(row).to_contain_text("Dead")
    expect(row).to_contain_text("timeout")


def test_signing_out_elsewhere_ends_the_tail(scripted: Page, relay: Served) -> None:
    """The page says so."""
    follow(scripted, relay)
    other = scripted.context.new_page()
    other.goto(f"{relay.url}/console")
    other.get_by_role("button", name="Sign out").click()
    expect(scripted.get_by_role("status")).to_contain_text("session has ended", timeout=PATIENCE_S * 1000)


def test_without_javascript_the_page_says_so(user: Page, relay: Served) -> None:
    """And has no buttons that do nothing."""
    user.goto(f"{relay.url}/console/tail")
    buttons, notice = user.get_by_role("button", name="Pause"), user.get_by_text("requires JavaScript")
    with_script = bool(user.evaluate("typeof EventSource === 'function' && !document.querySelector('#tail-needs')"))
    expect(buttons).to_have_count(1 if with_script else 0)
    expect(notice).to_have_count(0 if with_script else 1)

"""Sixty hostile texts on their real way: from the reports API through a worker to a receiver that answers with them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import signed_in
from tests.browser.payloads import PAYLOADS
from tests.browser.serving import Served
from tests.browser.test_hostile import seen
from tests.e2e.command_line import KEY, World, world
from tests.patience import PATIENCE_S

FIRST = 141_247_000
"""A rowId a little below those that the sandbox makes. The relay would hold rows that are far ahead of the others."""
BROKEN = 20
"""So many texts are also in rows that cannot be read."""
AT = "/console/applications/crm"


@contextmanager
def receiver() -> Iterator[str]:
    """A receiver that refuses everything with the next of the texts."""
    answers = cycle(PAYLOADS)

    class Answer(BaseHTTPRequestHandler):
        """One callback."""

        def do_POST(self) -> None:
            """Refuse it."""
            self.rfile.read(int(self.headers["content-length"]))
            body = next(answers).encode()
            self.send_response(422)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def rows() -> bytes:
    """A row for each text that has it in a note, a goal, a page's URL and a column of its own; and rows cut off."""
    lines = []
    for number, text in enumerate(PAYLOADS):
        row: dict[str, Any] = {
            "rowId": str(FIRST + number), "igrp": "1", "act": "call", "triggerDatetime": "2026-01-05 08:00:00",
            "dgrpName": "hostile", "notes": text, "goal": text, "href": f"https://shop.example/?{text}",
            f"c_{text[:20]}": text,
        }  # fmt: skip
        lines.append(msgspec.json.encode(row))
    lines += [msgspec.json.encode({"rowId": str(FIRST - 1 - n), "notes": PAYLOADS[n]})[:-1] for n in range(BROKEN)]
    return b"\n".join(lines)


def register(on: World, api: httpx.Client, url: str) -> None:
    """A source, and an endpoint that gives a message up after its first attempt."""
    httpx.post(f"{on.sandbox}/sandbox/rows", content=rows(), timeout=PATIENCE_S).raise_for_status()
    api.post("/app", json={"uid": "crm", "name": PAYLOADS[2]}).raise_for_status()
    made = {"uid": "calls", "url": f"{url}/{quote(PAYLOADS[0])}", "filter": {"dgrpName": "hostile"}}
    api.post("/app/crm/endpoint", json=made | {"retrySchedule": []}).raise_for_status()
    source = {"name": PAYLOADS[1], "baseUrl": on.sandbox, "igrp": 1, "routes": ["all"], "startRowId": 0}
    auth = {"type": "apiKey", "key": "00000000-0000-4000-8000-000000000001"}
    api.put("/source/main", json=source | {"auth": auth}).raise_for_status()


def dead(api: httpx.Client) -> list[str]:
    """The ids of the messages that the endpoint refused, when it refused one for each text."""
    deadline = time.monotonic() + 3 * PATIENCE_S
    while time.monotonic() < deadline:
        found = api.get("/undelivered", params={"state": "dead", "limit": 250}).raise_for_status().json()["data"]
        if len(found) >= len(PAYLOADS):
            return [each["msgId"] for each in found]
        time.sleep(0.2)
    raise AssertionError(found, api.get("/source/main").json(), api.get("/app/crm/msg?limit=2").json())


def json_text(text: str) -> str:
    """A text as a line of JSON has it."""
    return msgspec.json.encode(text).decode().strip('"')


@pytest.mark.timeout(300)
def test_no_text_on_its_real_way_becomes_code(browser: Browser, tmp_path: Path) -> None:
    """Rows, lines in quarantine, URLs and answers. The page fails the test as in test_hostile.py."""
    with world(tmp_path) as on, receiver() as url:
        where = f"http://127.0.0.1:{on.env['RELAY_PORT']}"
        key = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=f"{where}/api/v1", headers=key, timeout=PATIENCE_S) as api:
            register(on, api, url)
            messages = dead(api)
        relay = Served(where, "", "", "", KEY)
        for page in signed_in(browser.new_context(), relay):
            quarantine = seen(page, relay, "/console/sources/main/quarantine")
            found = seen(page, relay, f"{AT}/endpoints/calls")
            for path in ("/console", "/console/undelivered", f"{AT}/messages", "/console/operational-events"):
                seen(page, relay, path)
            for message in messages:
                found += seen(page, relay, f"{AT}/messages/{message}")
        assert [text for text in PAYLOADS if text not in found] == []
        assert [text for text in PAYLOADS[:BROKEN] if json_text(text) not in quarantine] == []

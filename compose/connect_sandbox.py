"""Connects the sandbox to the receiver: creates an application, an endpoint and a source, unless they exist.

Needs Python's standard library only. Reads API_URL, SANDBOX_URL, RECEIVER_URL, RELAY_ADMIN_KEY and RECEIVER_SECRET.
"""

import json
import logging
import os
import sys
import urllib.error
import urllib.request

log = logging.getLogger("connect-sandbox")
EXISTS = 409
SANDBOX_KEY = "00000000-0000-4000-8000-000000000001"


def ask(method: str, path: str, body: dict[str, object]) -> None:
    """Call the API. Ends the program with the answer if the API refuses the call."""
    request = urllib.request.Request(  # noqa: S310 - the URL is the operator's
        f"{os.environ['API_URL']}/api/v1/{path}",
        method=method,
        data=json.dumps(body).encode(),
        headers={"authorization": f"Bearer {os.environ['RELAY_ADMIN_KEY']}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            log.info("%s %s: done", method, path)
    except urllib.error.HTTPError as error:
        if error.code != EXISTS:
            sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")
        log.info("%s %s: exists", method, path)


def main() -> None:
    """Create all three."""
    secret = os.environ.get("RECEIVER_SECRET")
    endpoint: dict[str, object] = {"uid": "all", "url": f"{os.environ['RECEIVER_URL']}/all"}
    ask("POST", "app", {"name": "Sandbox", "uid": "sandbox"})
    ask("POST", "app/sandbox/endpoint", endpoint | ({"secret": secret} if secret else {}))
    ask("PUT", "source/sandbox", {
        "name": "Sandbox", "baseUrl": os.environ["SANDBOX_URL"], "version": "v2.1", "igrp": 1,
        "auth": {"type": "apiKey", "key": SANDBOX_KEY}, "routes": ["all"], "pollIntervalSeconds": 2, "startRowId": 0,
    })  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()

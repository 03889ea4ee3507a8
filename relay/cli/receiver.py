"""`relay receiver`: a sample of a service in front of a CRM. It verifies each callback, knows it again, and keeps it.

Copy what `Receiver.accept` does, in any language: check the signature over the raw body, take each webhook-id once,
answer 2xx as soon as it is kept. It remembers ids in memory; a real one has a unique index in its database.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from relay.cli.arguments import port
from relay.errors import Fault, Invalid
from relay.serving import listen, open_port

LARGEST_BODY = 1_048_576
SECRETS = "RECEIVER_SECRETS"
"""Where secrets are looked for when none is given as an argument, for arguments stand in the list of processes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `relay receiver` understands."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=port, default=9000, help="port to listen on; 0: any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--secret",
        action="append",
        metavar="[PATH=]whsec_…",
        help=f"secret of an endpoint; with PATH= only for callbacks to /PATH (default: ${SECRETS})",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="append one JSON line per callback to FILE")
    parser.add_argument("--quiet", action="store_true", help="do not print callbacks")


def run(args: argparse.Namespace) -> int:
    """Receive until a signal; raises Invalid when there is no usable secret."""
    secrets = _secrets(args.secret or os.environ.get(SECRETS, "").split())
    logs: list[TextIO] = [] if args.quiet else [sys.stdout]
    if args.log:
        logs.append(args.log.open("a", encoding="utf-8"))
    with open_port(args.host, args.port, setting="--port") as listener:
        return asyncio.run(listen(Receiver(secrets, logs), listener, lifespan=False))


def _secrets(texts: Sequence[str]) -> dict[str, Webhook]:
    secrets = {}
    for text in texts:
        path, found, key = text.rpartition("whsec_")
        try:
            secrets[path.removesuffix("=").strip("/")] = Webhook(base64.b64decode(key, validate=True) if found else b"")
        except (ValueError, EmptyWebhookSecretError):
            raise Invalid(Fault((SECRETS,), "must hold secrets: whsec_… for every path, or PATH=whsec_…")) from None
    if not secrets:
        raise Invalid(
            Fault(
                (SECRETS,), "is required, or --secret: the receiver cannot verify callbacks without a secret", "missing"
            )
        )
    return secrets


class Receiver:
    """An ASGI application: POST takes callbacks at any path, GET /state reports them."""

    def __init__(self, secrets: Mapping[str, Webhook], logs: Sequence[TextIO]) -> None:
        self._secrets = secrets
        self._logs = logs
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._counts: dict[str, dict[str, int]] = defaultdict(lambda: {"verified": 0, "duplicates": 0, "refused": 0})

    def accept(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Verify one callback, note it, and give the status to answer with."""
        counts = self._counts[path] if path in self._secrets else self._counts[""]
        secret = self._secrets.get(path) or self._secrets.get("")
        try:
            if secret is None:
                raise WebhookVerificationError("no secret for this path")
            callback = secret.verify(body, headers)
        except (WebhookVerificationError, ValueError) as error:
            counts["refused"] += 1
            self._note({"path": path, "verified": False, "error": str(error)})
            return 401
        webhook_id = headers["webhook-id"]
        duplicate = webhook_id in self._seen[path]
        self._seen[path].add(webhook_id)
        counts["verified"] += 1
        counts["duplicates"] += duplicate
        data = callback["data"]
        note = {
            "path": path,
            "verified": True,
            "duplicate": duplicate,
            "webhookId": webhook_id,
            "type": callback["type"],
        }
        self._note(note | {name: data.get(name) for name in ("source", "rowId", "revision", "classes")})
        return 204

    def state(self) -> dict[str, Any]:
        """Counts of callbacks, in all and by path."""
        total = {
            name: sum(counts[name] for counts in self._counts.values())
            for name in ("verified", "duplicates", "refused")
        }
        return total | {"paths": self._counts}

    def _note(self, entry: dict[str, Any]) -> None:
        line = json.dumps({"atMs": time.time_ns() // 1_000_000} | entry)
        for log in self._logs:
            log.write(line + "\n")
            log.flush()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request (ASGI 3)."""
        path, answer = scope["path"].strip("/"), b""
        if scope["method"] == "POST":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            body = await _read(receive)
            status = 413 if body is None else self.accept(path, headers, body)
        elif path == "state":
            status, answer = 200, json.dumps(self.state()).encode()
        else:
            status = 404
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head if status != 204 else []})
        await send({"type": "http.response.body", "body": answer})


async def _read(receive: Any) -> bytes | None:
    body: bytes = b""
    while True:
        part = await receive()
        body += part.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not part.get("more_body", False):
            return body

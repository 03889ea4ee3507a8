"""`relay listen`: a subscriber's workbench. It receives callbacks, says whether and why not they verify, and answers.

`relay receiver` is for scripts: it refuses everything that does not verify, counts, and writes one JSON line for each
callback. This one is for people, and answers as they ask.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from relay.cli.arguments import amount, natural, port
from relay.cli.faults import Misused
from relay.cli.output import json_text
from relay.domain.masking import printable
from relay.domain.verifying import Finding, findings
from relay.serving import listen, open_port

SECRETS = "RECEIVER_SECRETS"
LARGEST_BODY = 8 << 20
LONGEST_DELAY_S = 600.0
SAVED_MOST = 10_000
STATUSES = range(200, 600)
UNVERIFIED = 401


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay listen`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=9000, help="port to listen on; 0: any free one (default: 9000)")
    parser.add_argument(
        "--secret",
        action="append",
        metavar="[PATH=]whsec_…",
        help=f"secret of an endpoint; with PATH= only for callbacks to /PATH (default: ${SECRETS}). Without one, "
        "nothing is verified",
    )
    parser.add_argument(
        "--status",
        type=_statuses,
        default=[204],
        metavar="STATUS,…",
        help="what to answer, in turn for each path; the last one repeats (default: 204). Such as 500,500,204",
    )
    parser.add_argument(
        "--answer", metavar="JSON", help="the body of answers, such as a CRM's (default: the faults of the callback)"
    )
    parser.add_argument(
        "--retry-after", type=natural, metavar="SECONDS", help="the Retry-After of answers that are not 2xx"
    )
    parser.add_argument(
        "--delay",
        type=amount(LONGEST_DELAY_S),
        default=0.0,
        metavar="SECONDS",
        help="how long to wait with each answer",
    )
    parser.add_argument(
        "--accept-unverified",
        action="store_true",
        help="answer callbacks that do not verify like the others, instead of with 401",
    )
    parser.add_argument("--show", choices=("line", "body", "all"), default="body", help="how much to print")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save each request, as relay verify reads it")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each callback")


def run(args: argparse.Namespace) -> int:
    """Receive until a signal. Raises Misused for an unusable secret, CannotListen for a taken port."""
    keys = _keys(args.secret or os.environ.get(SECRETS, "").split())
    if args.save:
        try:
            args.save.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Misused(f"--save {args.save}: {error.strerror}") from None
    with open_port(args.host, args.port, setting="--port") as listener:
        host = f"[{args.host}]" if ":" in args.host else args.host
        verified = "callbacks are verified" if keys else f"no callback is verified: set {SECRETS} or --secret"
        print(f"http://{host}:{listener.getsockname()[1]}/ listens; {verified}", file=sys.stderr, flush=True)
        return asyncio.run(listen(Workbench(keys, args, sys.stdout), listener, lifespan=False))


class Workbench:
    """An ASGI application that takes every request for a callback."""

    def __init__(self, keys: Mapping[str, str], args: argparse.Namespace, stream: TextIO) -> None:
        """`keys`: secrets by path, "" for every other path."""
        self._keys = keys
        self._args = args
        self._stream = stream
        self._answered: dict[str, int] = defaultdict(int)
        self._seen: dict[str, int] = defaultdict(int)
        self._number = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request (ASGI 3)."""
        path = scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _read(receive)
        if body is None:
            status, answer = 413, b'{"error": "the body is too large"}'
        else:
            target = (scope["raw_path"] + b"?" * bool(scope["query_string"]) + scope["query_string"]).decode("latin-1")
            try:
                status, answer = self.take(scope["method"], path, headers, body, target=target)
            except BrokenPipeError:
                signal.raise_signal(signal.SIGTERM)  # The reader of the output has gone.
                status, answer = 503, b""
        if self._args.delay:
            await asyncio.sleep(self._args.delay)
        head = [] if status in (204, 304) else [(b"content-type", b"application/json")]
        if self._args.retry_after is not None and not 200 <= status < 300:
            head.append((b"retry-after", str(self._args.retry_after).encode()))
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b"" if status in (204, 304) else answer})

    def take(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, target: str = ""
    ) -> tuple[int, bytes]:
        """Verify and print one callback, and give the status and the body to answer with.

        `target` is the path as it arrived, which is saved: a decoded one may have line ends.
        """
        key = self._keys.get(path.strip("/")) or self._keys.get("")
        found = None if key is None else findings(key, headers, body, now_s=int(time.time()))
        self._number += 1
        webhook_id = headers.get("webhook-id", "")
        self._seen[f"{path} {webhook_id}"] += 1
        times = self._seen[f"{path} {webhook_id}"] if webhook_id else 1
        status = self._status(path, found)
        self._save(method, target or path, headers, body)
        note = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "method": method, "path": path,
            "webhookId": webhook_id or None, "times": times, "verified": None if found is None else not found,
            "findings": [each._asdict() for each in found or ()], "answered": status, "bytes": len(body),
        }  # fmt: skip
        if self._args.json:
            print(json_text(note | {"body": _json(body)}, self._stream), file=self._stream, flush=True)
        else:
            self._print(note, found, headers, body)
        given: str | None = self._args.answer
        if given is not None and not (found and status == UNVERIFIED):
            return status, given.encode()
        return status, json.dumps({"findings": note["findings"]}).encode()

    def _status(self, path: str, found: list[Finding] | None) -> int:
        if found and not self._args.accept_unverified:
            return UNVERIFIED
        at = self._answered[path]
        self._answered[path] += 1
        statuses: list[int] = self._args.status
        return statuses[min(at, len(statuses) - 1)]

    def _save(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        if not self._args.save or self._number > SAVED_MOST:
            return
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())])
        file: Path = self._args.save / f"{self._number:05d}.http"
        file.write_bytes(head.encode("latin-1") + b"\r\n\r\n" + body)

    def _print(
        self, note: dict[str, Any], found: list[Finding] | None, headers: Mapping[str, str], body: bytes
    ) -> None:
        word = "not checked" if found is None else "NOT VERIFIED" if found else "verified"
        again = f", seen {note['times']} times" if note["times"] > 1 else ""
        clock = note["at"][11:19]
        line = f"{clock} {note['method']} {note['path']} {note['webhookId'] or '(no webhook-id)'}"
        self._say(f"{line} {word}{again} -> {note['answered']}")
        for each in found or ():
            self._say(f"  {each.part}: {each.message}.")
        if self._args.show == "all":
            for name, value in headers.items():
                self._say(f"  {name}: {value}")
        if self._args.show != "line":
            value = _json(body)
            text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
            for each_line in text.split("\n"):
                self._say(f"  {each_line}")

    def _say(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body)
        json.dumps(value, indent=2, allow_nan=False)  # As it is printed: not too deep, and JSON.
        return value
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


async def _read(receive: Any) -> bytes | None:
    body = bytearray()
    while True:
        part = await receive()
        body += part.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not part.get("more_body", False):
            return bytes(body)


def _keys(texts: list[str]) -> dict[str, str]:
    """The keys by path. Raises Misused for one that can verify nothing."""
    keys = {}
    for text in texts:
        at = max(text.find("whsec_"), text.find("whpk_"), text.find("whsk_"))
        path, key = (text[:at], text[at:]) if at > 0 else ("", text)
        faults = [each for each in findings(key, {}, b"", now_s=0) if each.part == "key"]
        if faults:
            raise Misused(f"{SECRETS} or --secret: {faults[0].message}. PATH=whsec_… is for callbacks to /PATH alone")
        keys[path.removesuffix("=").strip("/")] = key
    return keys


def _statuses(text: str) -> list[int]:
    found = text.split(",")
    if not all(each.isdecimal() and len(each) == 3 and int(each) in STATUSES for each in found):
        raise argparse.ArgumentTypeError(f"{text!r} must be statuses from 200 to 599, separated by commas")
    return [int(each) for each in found]

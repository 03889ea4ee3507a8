"""`relay verify`: says what is wrong with a callback that was saved: headers, raw body and secret."""

import argparse
import os
import time

from relay.cli.arguments import whole
from relay.cli.faults import Exit, Misused
from relay.cli.output import Output
from relay.domain.verifying import findings

SECRET = "WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
LARGEST = 8 << 20
LATEST_S = 253_402_300_799
"""The end of the year 9999."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ENDS = (b"\r\n\r\n", b"\n\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `relay verify`."""
    parser.add_argument(
        "request",
        nargs="?",
        metavar="FILE",
        help="the saved request: headers, an empty line, and the raw body; - is standard input",
    )
    parser.add_argument("--body", metavar="FILE", help="the raw body, in place of FILE; - is standard input")
    parser.add_argument(
        "--header", "-H", action="append", default=[], metavar="'NAME: VALUE'", help="a header (repeatable)"
    )
    parser.add_argument("--secret", metavar="whsec_…", help=f"the endpoint's secret (default: ${SECRET})")
    parser.add_argument(
        "--at",
        type=whole(0, LATEST_S),
        metavar="SECONDS",
        help="when the callback arrived, in seconds since 1970 (default: now; 0: do not check its age)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong; gives 0 if the callback is verified, else 1. Raises Misused."""
    secret = args.secret or os.environ.get(SECRET, "")
    if not secret:
        raise Misused(f"the secret is required: set {SECRET} (relay endpoint secret show prints it), or --secret")
    headers, body = _request(args)
    now_s = int(time.time()) if args.at is None else args.at
    if args.at == 0:
        text = headers.get("webhook-timestamp", "")
        now_s = int(text) if text.isdecimal() and len(text) < 13 else now_s
    found = findings(secret, headers, body, now_s=now_s)
    out = Output(as_json=args.json)
    if out.as_json:
        out.document({"verified": not found, "findings": [each._asdict() for each in found]})
    for each in found:
        out.say(f"{each.part}: {each.message}.")
    if not found:
        out.say(f"Verified: {headers['webhook-id']}, {len(body)} bytes.")
    return Exit.FAILED if found else Exit.WELL


def _request(args: argparse.Namespace) -> tuple[dict[str, str], bytes]:
    given = dict(_header(text) for text in args.header)
    if args.body is not None and args.request is not None:
        raise Misused("FILE and --body exclude each other: FILE has headers and body")
    if args.body is not None:
        return given, _read(args.body)
    if args.request is None:
        raise Misused("the request is required: FILE with headers, an empty line and the body, or --header and --body")
    head, body = _split(_read(args.request).removeprefix(BYTE_ORDER_MARK))
    lines = head.decode("latin-1").splitlines()
    if lines and ":" not in lines[0].split(" ")[0]:
        lines = lines[1:]  # The request line, such as POST /calls HTTP/1.1.
    return dict(_header(line) for line in lines if line.strip()) | given, body


def _split(raw: bytes) -> tuple[bytes, bytes]:
    if raw.startswith((b"> ", b"< ", b"* ")):
        raise Misused("the file is what curl -v prints, which lacks bytes of the body: save the request as it arrived")
    places = [(at, end) for end in ENDS if (at := raw.find(end)) >= 0]
    if not places:
        raise Misused("the file has no empty line between headers and body: save the request as it arrived")
    at, end = min(places)
    return raw[:at], raw[at + len(end) :]


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise Misused(f"{line[:80]!r} is not a header: write 'name: value'")
    return name.strip().lower(), value.strip()


def _read(file: str) -> bytes:
    try:
        with open(0 if file == "-" else file, "rb", closefd=file != "-") as opened:
            raw = opened.read(LARGEST + 1)
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise Misused(f"{file} has more than {LARGEST >> 20} MiB")
    return raw

"""Says what is wrong with a callback: which header is missing, whether it is too old, and what could have changed it.

For people who write receivers. A receiver itself needs one sentence less: accept or refuse.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from relay.domain.signing import PRIVATE_PREFIX, PUBLIC_PREFIX, SECRET_PREFIX, public_key
from relay.errors import Fault, Invalid

TOLERANCE_S = 300
"""Standard Webhooks 1.0: how old a callback may be, and how far ahead."""
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
OLD_NAMES = "svix-"
LINE_FEED = "the body has a line feed at its end that was not signed: an editor or echo adds it"

Part = Literal["key", "header", "timestamp", "signature", "body"]


class Finding(NamedTuple):
    """One thing that is wrong: with what, why, and what to do."""

    part: Part
    message: str


class _Check(NamedTuple):
    """How one key verifies signatures of its version."""

    version: str
    raw: bytes
    is_public: bool

    def fits(self, signature: bytes, content: bytes) -> bool:
        if not self.is_public:
            return hmac.compare_digest(hmac.new(self.raw, content, hashlib.sha256).digest(), signature)
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, content)
        except InvalidSignature:
            return False
        return True


def findings(key: str, headers: Mapping[str, str], body: bytes, *, now_s: int) -> list[Finding]:
    """What is wrong with a callback. Empty: it is verified.

    `key` is `whsec_…`, `whpk_…` or `whsk_…`. `headers` may be in any case. `now_s`: the time when it arrived, in s.
    """
    try:
        check = _check_of(key)
    except Invalid as error:
        return [Finding("key", fault.message) for fault in error.faults]
    given = {name.strip().lower(): value.strip() for name, value in headers.items()}
    if missing := list(_missing(given)):
        return missing
    found = list(_time_findings(given["webhook-timestamp"], now_s))
    return found + list(_signature_findings(check, given, body))


def _check_of(key: str) -> _Check:
    """How a key verifies. Raises Invalid."""
    key = key.strip()
    if key.startswith(PRIVATE_PREFIX):
        key = public_key(key)
    prefix = next((each for each in (SECRET_PREFIX, PUBLIC_PREFIX) if key.startswith(each)), None)
    if prefix is None:
        raise Invalid(Fault(("key",), f"the secret must begin with {SECRET_PREFIX} or {PUBLIC_PREFIX}: copy all of it"))
    try:
        raw = base64.b64decode(key.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(Fault(("key",), f"the secret must be base64 after {prefix}: copy all of it")) from None
    if prefix == PUBLIC_PREFIX and len(raw) != 32:
        raise Invalid(
            Fault(("key",), f"a public key has 32 bytes after {PUBLIC_PREFIX}, not {len(raw)}: copy all of it")
        )
    if not raw:
        raise Invalid(Fault(("key",), "the secret is empty"))
    return _Check("v1a" if prefix == PUBLIC_PREFIX else "v1", raw, prefix == PUBLIC_PREFIX)


def _missing(headers: Mapping[str, str]) -> Iterator[Finding]:
    for name in HEADERS:
        if not headers.get(name):
            hint = "the relay sends it with every callback, so a proxy or the server in between removes it"
            if headers.get(OLD_NAMES + name.removeprefix("webhook-")):
                hint = f"the request has {OLD_NAMES}{name.removeprefix('webhook-')} of another sender"
            yield Finding("header", f"{name} is missing: {hint}")


def _time_findings(text: str, now_s: int) -> Iterator[Finding]:
    if not text.isdecimal() or len(text) > 12:
        yield Finding("timestamp", "webhook-timestamp must be whole seconds since 1970")
        return
    ahead_s = int(text) - now_s
    if ahead_s < -TOLERANCE_S:
        yield Finding(
            "timestamp",
            f"webhook-timestamp is {-ahead_s} s ago, and {TOLERANCE_S} s are allowed: the callback was stored and sent "
            "again, the receiver reads it late, or its clock is wrong",
        )
    elif ahead_s > TOLERANCE_S:
        yield Finding("timestamp", f"webhook-timestamp is {ahead_s} s ahead: the clock of the receiver is wrong")


def _signature_findings(check: _Check, headers: Mapping[str, str], body: bytes) -> Iterator[Finding]:
    signatures, others = _signatures(headers["webhook-signature"], check.version)
    if not signatures:
        has = ", ".join(sorted(others)) or "none that can be read"
        yield Finding(
            "signature",
            f"webhook-signature has no {check.version} signature, which this key verifies; it has {has}. "
            f"A {SECRET_PREFIX} secret verifies v1, a {PUBLIC_PREFIX} key verifies v1a",
        )
        return
    prefix = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
    if any(check.fits(each, prefix + body) for each in signatures):
        return
    for changed, why in _bodies(body):
        if any(check.fits(each, prefix + changed) for each in signatures):
            yield Finding("body", f"{why}. Verify the bytes of the body as they arrive, before anything parses them")
            return
    if other := _other_reading(check, signatures, prefix + body, body):
        yield Finding("signature", other)
        return
    yield Finding(
        "signature",
        "no signature fits this secret, id, timestamp and body: the secret is that of another endpoint or was rotated, "
        "or the id, the timestamp or the body were changed after they were signed",
    )


def _signatures(header: str, version: str) -> tuple[list[bytes], set[str]]:
    """The signatures of a version, and the other versions that the header has."""
    found, others = [], set()
    for item in header.split():
        name, comma, text = item.partition(",")
        if not comma or name != version:
            others.add(name if comma else "text without a version")
            continue
        try:
            found.append(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            others.add(f"{name} that is not base64")
    return found, others


def _bodies(body: bytes) -> Iterator[tuple[bytes, str]]:
    """Bodies that this one may have been, with what happened to it."""
    for end in (b"\r\n", b"\n"):
        if body.endswith(end):
            yield body.removesuffix(end), LINE_FEED
            break
    yield body + b"\n", "the body lacks a line feed at its end that was signed"
    if b"\r\n" in body:
        yield body.replace(b"\r\n", b"\n"), "the line feeds of the body were changed to CR LF"
    if body.startswith(b"\xef\xbb\xbf"):
        yield body[3:], "the body begins with a byte order mark that was not signed"
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    why = "the body was parsed and written again as JSON"
    for ascii_only in (False, True):
        yield json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode("utf-8", "replace"), why
        yield json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "replace"), why


def _other_reading(check: _Check, signatures: list[bytes], content: bytes, body: bytes) -> str | None:
    """What a receiver that reads the standard wrongly would have signed."""
    if check.is_public:
        return None
    as_text = base64.b64encode(check.raw)
    wrong_keys = {"the text after whsec_": as_text, "the whole text of the secret": SECRET_PREFIX.encode() + as_text}
    for what, raw in wrong_keys.items():
        if any(_Check("v1", raw, False).fits(each, content) for each in signatures):
            return f"the sender used {what} as the key, and not the bytes that it stands for in base64"
    if any(check.fits(each, body) for each in signatures):
        return (
            "the sender signed the body alone, without the id and the timestamp: it is not a Standard Webhooks sender"
        )
    return None

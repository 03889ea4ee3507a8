"""Secrets that a server sends back: whatever is kept of its response must not hold what the relay sent to it."""

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "••••".encode()
SHORTEST = 4
"""A shorter secret is not hidden: it would be found in any text."""
MOST_SECRETS = 64


class Echoes:
    """Hides some secrets, however a server spells them: as they are, percent-encoded, in JSON, in HTML, in base64."""

    __slots__ = ("_spellings", "_starts")

    def __init__(self, secrets: Iterable[str]) -> None:
        chosen = sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len)[-MOST_SECRETS:]
        spellings = {spelling.lower() for secret in chosen for spelling in _spellings(secret)}
        self._spellings = tuple(sorted(spellings, key=len, reverse=True))
        self._starts = tuple({spelling[:SHORTEST] for spelling in spellings})

    def may_hold(self, text: bytes) -> bool:
        """Whether a secret, or the start of one, can be in a text. Most texts hold none, and this is quick."""
        low = text.lower()
        for start in self._starts:  # noqa: SIM110 - `any` takes three times as long
            if start in low:
                return True
        return False

    def hide(self, text: bytes, *, most: int | None = None) -> bytes:
        """A text without the secrets, and about so many bytes of it.

        A secret that the cut would divide is hidden whole, and where the text itself ends within a secret, that part is
        hidden too.
        """
        if not self.may_hold(text):
            return text[:most]
        low = text.lower()
        if any(spelling in low for spelling in self._spellings):
            text, most = self._replaced(text, most)
        return self._without_tail(text[:most])

    def _replaced(self, text: bytes, most: int | None) -> tuple[bytes, int | None]:
        # Nothing but literal texts, so it takes linear time.
        pattern = re.compile(b"|".join(re.escape(spelling) for spelling in self._spellings), re.IGNORECASE)
        if most is not None:
            for found in pattern.finditer(text):
                if found.start() < most < found.end():
                    most = found.end()
            text = text[:most]
        return pattern.sub(HIDDEN, text), None

    def _without_tail(self, text: bytes) -> bytes:
        low = text.lower()
        for spelling in self._spellings:
            at = low.find(spelling[:SHORTEST], max(0, len(low) - len(spelling)))
            while at >= 0:
                if spelling.startswith(low[at:]):
                    return text[:at] + HIDDEN
                at = low.find(spelling[:SHORTEST], at + 1)
        return text


def _spellings(secret: str) -> set[bytes]:
    plain = secret.encode()
    in_json = json.dumps(secret)[1:-1]
    texts = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        in_json,
        in_json.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        base64.b64encode(plain).decode().rstrip("="),
        base64.urlsafe_b64encode(plain).decode().rstrip("="),
    }
    return {text.encode() for text in texts if len(text) >= SHORTEST}

"""Signed links. Anyone who has one can fetch one thing until a time, without a key.

The API creates links to recordings when it is asked to. Events carry links for endpoints that include them: such a link
is a function of the event, so that each attempt of a delivery has the same body.
"""

import hashlib
import hmac
from collections.abc import Collection
from typing import Any, get_args

import msgspec

from relay.domain import json_text
from relay.domain.model import Endpoint, Included, StoredEvent
from relay.domain.privacy import PrivacyRule
from relay.domain.tracing import visitor_of

PURPOSE = "links"
"""What the keys of links are derived for."""

LONGEST_S = 24 * 3600
"""A link cannot be taken back, but by deleting the application."""


INCLUDED: tuple[Included, ...] = get_args(Included)


def link_text(application: str, message: str, expires_s: int) -> bytes:
    """What the signature of a link to a recording covers. No part has a line feed."""
    return f"recording\n{application}\n{message}\n{expires_s}".encode()


def trace_text(application: str, endpoint: str, message: str, expires_s: int) -> bytes:
    """What the signature of a link to a visitor's trace covers. No part has a line feed."""
    return f"trace\n{application}\n{endpoint}\n{message}\n{expires_s}".encode()


def sign_link(key: bytes, text: bytes) -> str:
    """The signature of a link, in hex."""
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def is_signed(keys: list[bytes], text: bytes, signature: str) -> bool:
    """Whether one of the keys has signed it. All are tried, in constant time each."""
    found = [hmac.compare_digest(sign_link(key, text).encode(), signature.encode()) for key in keys]
    return any(found)


class EventLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Makes the links that events carry."""

    key: bytes
    """The key that signs."""
    public_url: str
    """Where subscribers reach the API, such as `https://relay.example.com`."""
    lives_s: int
    """How long a link works, from the time when the relay stored the event."""

    def added(self, body: bytes, event: StoredEvent, endpoint: Endpoint, rules: Collection[PrivacyRule]) -> bytes:
        """The body of a callback with the links that its endpoint includes, at the end of `data`.

        `body` is what the privacy rules leave. An event that is not about a call stays as it is.
        """
        if event.post is not None or b'"call"' not in body or not body.endswith(b"}}"):
            return body
        links = self._links(json_text.decode(body)["data"], event, endpoint, rules)
        text = b"".join(b',"%s":%s' % (name.encode(), json_text.encode(url)) for name, url in links.items())
        return body[:-2] + text + b"}}"

    def _links(
        self, data: dict[str, Any], event: StoredEvent, endpoint: Endpoint, rules: Collection[PrivacyRule]
    ) -> dict[str, str]:
        if "call" not in data["classes"]:
            return {}
        trigger, links = data["trigger"], dict[str, str]()
        expires_s = event.stored_at_ms // 1000 + self.lives_s
        if "recordingUrl" in endpoint.include and trigger.get("rec") is True:
            text = link_text(endpoint.app_id, event.id, expires_s)
            links["recordingUrl"] = self._url(f"/recording/{endpoint.app_id}/{event.id}", text, expires_s)
        if "visitorTraceUrl" in endpoint.include and visitor_of(trigger, rules):
            text = trace_text(endpoint.app_id, endpoint.id, event.id, expires_s)
            path = f"/visitor-trace/{endpoint.app_id}/{endpoint.id}/{event.id}"
            links["visitorTraceUrl"] = self._url(path, text, expires_s)
        return links

    def _url(self, path: str, text: bytes, expires_s: int) -> str:
        return f"{self.public_url}{path}?expires={expires_s}&signature={sign_link(self.key, text)}"

"""Signed links. Anyone who has one can fetch one thing until a time, without a key."""

import hashlib
import hmac

LONGEST_S = 24 * 3600
"""A link cannot be taken back, but by deleting the application."""


def link_text(application: str, message: str, expires_s: int) -> bytes:
    """What the signature of a link to a recording covers. No part has a line feed."""
    return f"recording\n{application}\n{message}\n{expires_s}".encode()


def sign_link(key: bytes, text: bytes) -> str:
    """The signature of a link, in hex."""
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def is_signed(keys: list[bytes], text: bytes, signature: str) -> bool:
    """Whether one of the keys has signed it. All are tried, in constant time each."""
    found = [hmac.compare_digest(sign_link(key, text).encode(), signature.encode()) for key in keys]
    return any(found)

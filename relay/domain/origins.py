"""Whether two URLs lead to the same server: what was given for one must not be sent to another one unasked."""

from contextlib import suppress
from urllib.parse import urlsplit

Origin = tuple[str, str, int | None]
"""Scheme, host and port."""

_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> Origin:
    """The origin of a URL that was checked (RFC 6454), however it is spelled.

    >>> origin_of("HTTPS://Crm.Example:443/a") == origin_of("https://crm.example./b?c")
    True
    >>> origin_of("https://bücher.example") == origin_of("https://xn--bcher-kva.example")
    True
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    # What can't be encoded, such as a label that is too long, is what it is.
    with suppress(UnicodeError):
        host = host.encode("idna").decode()
    return parts.scheme, host, parts.port or _PORTS.get(parts.scheme)

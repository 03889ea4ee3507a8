"""Paths of URLs whose parts come from people: no part of them leads to another object."""

from urllib.parse import quote

from relay.errors import Fault, Invalid

DOTS = frozenset({".", ".."})
"""Clients and servers remove these parts: `app/one/endpoint/..` would be the application itself."""


def url_path(*parts: str) -> str:
    """The percent-encoded path of these parts. Raises Invalid for a part that is empty, `.`, `..` or not UTF-8.

    >>> url_path("app", "a/../b", "endpoint")
    'app/a%2F..%2Fb/endpoint'
    """
    return "/".join(map(_quoted, parts))


def _quoted(part: str) -> str:
    if not part:
        raise Invalid(Fault(("path",), "has an empty name: give the id or the uid of the object"))
    if part in DOTS:
        raise Invalid(Fault(("path",), f"has the name `{part}`, which is no id and no uid"))
    try:
        return quote(part, safe="")
    except UnicodeEncodeError:
        raise Invalid(Fault(("path",), "has a name that is not UTF-8")) from None

"""Which dead deliveries a change of an endpoint's expressions may cure."""

from collections.abc import Sequence
from typing import Literal

from msgspec import structs

from relay.domain.requests.model import PLAIN, RequestShape
from relay.domain.requests.templates import names_in


def cured(
    before: RequestShape, before_url: str, after: RequestShape, after_url: str
) -> Sequence[Literal["transformation", "no_match"]]:
    """The reasons with which they are listed. None for a change that no expression can notice, such as of rules.

    >>> cured(PLAIN, "https://a.example/", PLAIN, "https://b.example/")
    []
    >>> cured(RequestShape(transformation="a"), "", RequestShape(transformation="b"), "")
    ['transformation']
    """
    found: list[Literal["transformation", "no_match"]] = []
    if _read(before, before_url) != _read(after, after_url):
        found.append("transformation")
    if before.lookup != after.lookup or (after.lookup is not None and before.variables != after.variables):
        found.append("no_match")
    return found


def _read(shape: RequestShape, url: str) -> tuple[RequestShape, str]:
    """What decides whether a request can be made of an event."""
    return structs.replace(shape, verdicts=PLAIN.verdicts, method=PLAIN.method), url if names_in(url) else ""

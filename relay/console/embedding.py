"""Which pages other sites can embed: those of subscribers in the portal, and nobody else's.

`RELAY_PORTAL_EMBED_ORIGINS` names the sites. A browser that shows such a page in a frame of another site sends only
cookies that allow it, so the cookies of those pages differ too: see relay.console.cookies.
"""

from typing import Any

from litestar import Request

FRAMED = "frame-ancestors "
ALONE = FRAMED + "'none'"


def serve_portal(request: Request[Any, Any, Any]) -> None:
    """Note that a request is a subscriber's: from here on, its page can be embedded, also if it becomes an error."""
    request.state.is_portal = True


def serve_operator(request: Request[Any, Any, Any]) -> None:
    """Note that a request is an operator's, whatever other cookies it has."""
    request.state.is_portal = False


def is_noted(request: Request[Any, Any, Any]) -> bool:
    """Whether it is known yet whose request it is."""
    return "is_portal" in request.state


def is_portal(request: Request[Any, Any, Any]) -> bool:
    """Whether a request is a subscriber's."""
    return bool(request.state.get("is_portal", False))


def embedders_of(request: Request[Any, Any, Any]) -> tuple[str, ...]:
    """The origins whose pages can embed the page of a request."""
    return tuple(request.app.state.embed_origins) if is_portal(request) else ()

"""Pages as responses: rendered, compressed, and with the headers that keep them apart from everything else."""

import gzip
import secrets
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from relay.console import words
from relay.console.embedding import ALONE, FRAMED, embedders_of
from relay.console.files import asset
from relay.console.navigation import sections_of
from relay.console.states import state_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; " + ALONE
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "vary": "cookie, accept-encoding",
}
"""`same-origin`: with `no-referrer`, browsers send `Origin: null` with forms."""
COMPRESSED_FROM = 1024
"""Bytes of a page."""


@cache
def environment() -> Environment:
    """The templates. Whatever is put into them is escaped, and a name that a page does not give is an error."""
    found = Environment(
        loader=PackageLoader("relay.console"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.plain,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters.update(words.FILTERS)
    found.globals.update(asset=asset, once=lambda: secrets.token_hex(16), state_of=state_of, sections_of=sections_of)
    return found


def render(
    request: Request[Any, Any, Any], template: str, *, values: dict[str, Any], now_ms: int, status: int = 200
) -> Response[bytes]:
    """A page. A request of htmx gets the same page, and htmx takes what it asked for."""
    at = {"path": request.url.path, "address": address_of(request)}
    text = environment().get_template(template).render(request=request, now_ms=now_ms, **at, **values)
    body, headers = text.encode(), headers_of(request)
    if len(body) >= COMPRESSED_FROM and accepts_gzip(request):
        body, headers["content-encoding"] = gzip.compress(body, 6, mtime=0), "gzip"
    return Response(body, status_code=status, media_type="text/html", headers=headers)


def address_of(request: Request[Any, Any, Any]) -> str:
    """The path of a request with its query."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def refreshes(request: Request[Any, Any, Any]) -> bool:
    """Whether a page that is open refreshes itself."""
    return request.method == "GET" and "hx-request" in request.headers


def headers_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The headers of a page. Sites that can embed it are named in them."""
    headers = dict(HEADERS)
    if embedders := embedders_of(request):
        headers["content-security-policy"] = POLICY.replace(ALONE, FRAMED + " ".join(embedders))
        del headers["x-frame-options"]  # It cannot name a site.
    return headers


def accepts_gzip(request: Request[Any, Any, Any]) -> bool:
    """Whether the browser reads gzip."""
    given = request.headers.get("accept-encoding", "").lower().split(",")
    return any(each.partition(";")[0].strip() == "gzip" and each.partition(";")[2].strip() != "q=0" for each in given)

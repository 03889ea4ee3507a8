"""Checks of requests that change something: another site must not be able to send them with the browser's session.

The token of a form is a random number and its HMAC under the session's token, so each page has another one: what a
compressed page reveals by its length says nothing of the next one.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from litestar import Request
from litestar.exceptions import PermissionDeniedException

from relay.store.sessions import Session

FIELD = "csrf"
HEADER = "x-csrf-token"
OWN = ("same-origin", "none")


def token_of(session: Session) -> str:
    """A token for the forms of a page."""
    number = secrets.token_hex(8)
    return f"{number}.{_digest(session, number)}"


def check_form(session: Session, form: Mapping[str, str], request: Request[Any, Any, Any]) -> None:
    """Raise PermissionDeniedException unless a form, or a header, has a token of the session."""
    number, _, digest = (form.get(FIELD) or request.headers.get(HEADER) or "").partition(".")
    if not hmac.compare_digest(_digest(session, number).encode(), digest.encode()):
        raise PermissionDeniedException("This form does not belong to your session. Open the page again and retry.")


def check_origin(request: Request[Any, Any, Any]) -> None:
    """Raise PermissionDeniedException if a browser says that a page of another site sent the request."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site is not None and site not in OWN
    if not foreign and site is None and origin is not None:
        # Browsers send a scheme, a host and a port, and nothing that has to be parsed.
        foreign = origin.partition("://")[2].lower() != request.headers.get("host", "").lower()
    if foreign:
        raise PermissionDeniedException("Another site sent this request. Open the console itself and retry.")


def _digest(session: Session, number: str) -> str:
    return hmac.new(session.token.reveal().encode(), f"csrf|{number}".encode(), hashlib.sha256).hexdigest()

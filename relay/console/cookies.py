"""The cookies of the console: the session, and the message for the next page."""

import base64
import binascii
from typing import Any, Literal

import msgspec
from litestar import Request
from litestar.datastructures import Cookie

from relay.domain.model import Secret

SESSION = "relay_session"
NOTICE = "relay_notice"
PATH = "/console"
NOTICE_MOST = 1000
"""Characters of a message. A cookie can have 4 kB."""
TOKEN_MOST = 100
NOTICE_LIVES_S = 60


class Notice(msgspec.Struct, frozen=True):
    """A message that the next page shows once."""

    kind: Literal["done", "error"]
    text: str


def session_of(request: Request[Any, Any, Any]) -> Secret | None:
    """The token of the session that the browser sent."""
    token = request.cookies.get(SESSION, "")
    return Secret(token) if 0 < len(token) <= TOKEN_MOST else None


def session_cookie(request: Request[Any, Any, Any], token: str) -> Cookie:
    """The cookie of a session. It ends with the browser's own session."""
    return _cookie(request, SESSION, token)


def read_notice(request: Request[Any, Any, Any]) -> Notice | None:
    """The message for this page. None: there is none."""
    try:
        text = base64.b64decode(request.cookies.get(NOTICE, ""), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=Notice)
    except (ValueError, binascii.Error):  # msgspec's own errors are ValueErrors.
        return None


def write_notice(request: Request[Any, Any, Any], notice: Notice) -> Cookie:
    """The cookie of a message."""
    text = msgspec.json.encode(Notice(notice.kind, notice.text[:NOTICE_MOST]))
    return _cookie(request, NOTICE, base64.urlsafe_b64encode(text).decode(), max_age=NOTICE_LIVES_S)


def _cookie(request: Request[Any, Any, Any], name: str, value: str, *, max_age: int | None = None) -> Cookie:
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    # A client that claims https makes only its own cookie stricter.
    secure = "https" in (request.scope.get("scheme"), forwarded)
    return Cookie(name, path=PATH, value=value, httponly=True, samesite="strict", secure=secure, max_age=max_age)

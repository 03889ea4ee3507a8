"""The cookies of the console: the session, and the message for the next page.

Operators and subscribers have sessions in cookies of different names, because only the second can be sent in a frame of
another site. A browser has one of them: beginning a session ends the other.
"""

import base64
import binascii
from typing import Any, Literal

import msgspec
from litestar import Request
from litestar.datastructures import Cookie

from relay.console.embedding import embedders_of
from relay.domain.model import Secret

SESSION = "relay_session"
PORTAL = "relay_portal"
SESSIONS = (PORTAL, SESSION)
"""Cookies of sessions. If a browser sends both, the first one whose session has not ended counts."""
NOTICE = "relay_notice"
PATH = "/console"
HOST_ONLY = "__Host-"
"""How names begin over https. Browsers accept such a cookie from this host alone: another host of the same domain
cannot give a browser a session of its choice."""
NOTICE_MOST = 1000
"""Characters of a message. A cookie can have 4 kB."""
TOKEN_MOST = 100
NOTICE_LIVES_S = 60


class Partitioned(Cookie):
    """A cookie in a frame of another site. The browser keeps it apart for each site that embeds the console."""

    def to_header(self, **kwargs: Any) -> str:
        """With the attribute that Python's cookies do not know before 3.14."""
        return f"{super().to_header(**kwargs)}; Partitioned"


class Notice(msgspec.Struct, frozen=True):
    """A message that the next page shows once."""

    kind: Literal["done", "error"]
    text: str
    see: Literal["", "tasks"] = ""
    """The page to which the message links."""


def sessions_of(request: Request[Any, Any, Any]) -> list[Secret]:
    """The tokens of all sessions that the browser sent."""
    tokens = (_sent(request, name) for name in SESSIONS)
    return [Secret(token) for token in tokens if 0 < len(token) <= TOKEN_MOST]


def is_sent(request: Request[Any, Any, Any], name: str) -> bool:
    """Whether the browser sent a cookie."""
    return bool(_sent(request, name))


def session_cookie(request: Request[Any, Any, Any], token: str) -> Cookie:
    """The cookie of a session. It ends with the browser's own session."""
    return _cookie(request, SESSION, token)


def portal_cookie(request: Request[Any, Any, Any], token: str) -> Cookie:
    """The cookie of a subscriber's session."""
    return _cookie(request, PORTAL, token)


def expired(request: Request[Any, Any, Any], name: str) -> Cookie:
    """A cookie that makes the browser forget one."""
    return _cookie(request, name, "", max_age=0)


def read_notice(request: Request[Any, Any, Any]) -> Notice | None:
    """The message for this page. None: there is none."""
    try:
        text = base64.b64decode(_sent(request, NOTICE), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=Notice)
    except (ValueError, binascii.Error):  # msgspec's own errors are ValueErrors.
        return None


def write_notice(request: Request[Any, Any, Any], notice: Notice) -> Cookie:
    """The cookie of a message."""
    text = msgspec.json.encode(Notice(notice.kind, notice.text[:NOTICE_MOST], notice.see))
    return _cookie(request, NOTICE, base64.urlsafe_b64encode(text).decode(), max_age=NOTICE_LIVES_S)


def _cookie(request: Request[Any, Any, Any], name: str, value: str, *, max_age: int | None = None) -> Cookie:
    secure, called = _is_secure(request), _name(request, name)
    path = "/" if secure else PATH  # Browsers require this path for the name.
    if _is_framed(request, name):
        return Partitioned(called, path=path, value=value, httponly=True, samesite="none", secure=True, max_age=max_age)
    return Cookie(called, path=path, value=value, httponly=True, samesite="strict", secure=secure, max_age=max_age)


def _sent(request: Request[Any, Any, Any], name: str) -> str:
    return request.cookies.get(_name(request, name), "")


def _name(request: Request[Any, Any, Any], name: str) -> str:
    return f"{HOST_ONLY}{name}" if _is_secure(request) else name


def _is_secure(request: Request[Any, Any, Any]) -> bool:
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    # A client that claims https makes only its own cookies stricter.
    return "https" in (request.scope.get("scheme"), forwarded)


def _is_framed(request: Request[Any, Any, Any], name: str) -> bool:
    """Whether a cookie is for frames. Sessions' are by their names: a browser forgets one only as it was set."""
    if name in SESSIONS:
        return name == PORTAL and bool(request.app.state.embed_origins)
    return bool(embedders_of(request))

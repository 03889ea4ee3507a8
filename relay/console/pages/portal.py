"""`/console/portal`: a subscriber comes in by a link, and then has the pages of the console for one application.

Scanners of mail open links, so opening one only shows a button. The button exchanges the code in the link.
"""

import hashlib
from datetime import datetime
from http import HTTPStatus
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from relay.console.api import Api, Refused, SignedOut
from relay.console.cookies import SESSION, expired, is_sent, portal_cookie
from relay.console.csrf import check_origin
from relay.console.embedding import serve_portal
from relay.console.rendering import render
from relay.console.visits import HOME, begin, session_of
from relay.domain.model import Secret
from relay.store.sessions import Session


@get("/portal")
async def portal_home(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Lead a subscriber to the overview. Without a session: say how to get in."""
    serve_portal(request)
    return _redirect(HOME) if await _session(request) else _page(request, is_over=True)


@get("/portal/{code:str}")
async def link_page(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[bytes]:
    """The button. The link of the browser's own session, such as when a frame is loaded again, leads on."""
    serve_portal(request)
    return _redirect(HOME) if await _began_with(request, code) else _page(request)


@post("/portal/{code:str}", status_code=HTTPStatus.OK)
async def open_portal(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[bytes]:
    """Exchange the code, and begin a session that ends with its token."""
    check_origin(request)
    serve_portal(request)
    try:
        given = await Api(request, None).call("POST", ("portal", "token"), body={"code": code}, root="")
    except (SignedOut, Refused) as error:
        # A code that was used or has expired, and a text that cannot be a code.
        if isinstance(error, Refused) and error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        if await _began_with(request, code):
            return _redirect(HOME)
        return _page(request, is_over=True, status=HTTPStatus.UNAUTHORIZED)
    answer = _redirect("/console/portal")
    answer.set_cookie(portal_cookie(request, (await _begin(request, code, given)).token.reveal()))
    if is_sent(request, SESSION):
        answer.set_cookie(expired(request, SESSION))
    return answer


async def _begin(request: Request[Any, Any, Any], code: str, given: Any) -> Session:
    ends_ms = int(datetime.fromisoformat(given["expiresAt"]).timestamp() * 1000)
    return await begin(request, Secret(given["token"]), link=_digest(code), ends_ms=ends_ms)


async def _session(request: Request[Any, Any, Any]) -> Session | None:
    found = await session_of(request, extends=False)
    return found if found and found.link else None


async def _began_with(request: Request[Any, Any, Any], code: str) -> bool:
    session = await _session(request)
    return session is not None and session.link == _digest(code)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _redirect(to: str) -> Response[bytes]:
    return Response(b"", media_type="text/plain", status_code=HTTPStatus.SEE_OTHER, headers={"location": to})


def _page(request: Request[Any, Any, Any], *, is_over: bool = False, status: int = 200) -> Response[bytes]:
    now_ms = int(request.app.state.clock.now_ms())
    return render(request, "portal.html", status=status, now_ms=now_ms, values={"is_over": is_over})

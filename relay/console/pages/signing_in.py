"""Signing in with an API key, and signing out."""

from http import HTTPStatus
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from relay.console.api import Refused, SignedOut
from relay.console.cookies import PORTAL, SESSION, expired, is_sent, session_cookie
from relay.console.csrf import check_origin
from relay.console.embedding import is_portal
from relay.console.rendering import render
from relay.console.visits import HOME, Visit, fields_of, own_page, sign_in
from relay.store.sessions import Sessions

KEY_MOST = 1024
UNKNOWN = "This API key is not valid. It is unknown, was deleted or rotated, or has expired."
VisitGiven = NamedDependency[SkipValidation[Visit]]


@get("/sign-in")
async def sign_in_page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The form."""
    given = request.query_params
    return _form(request, to=given.get("next", ""), unsent="unsent" in given)


@post("/sign-in", status_code=HTTPStatus.OK)
async def begin_session(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Begin a session, and lead to the page that was asked for."""
    check_origin(request)
    form = await fields_of(request)
    key, to = form.get("key", ""), form.get("next", "")
    if not key:
        return _form(request, to=to, fault="Enter an API key.", status=HTTPStatus.UNPROCESSABLE_ENTITY)
    if len(key) > KEY_MOST or not key.isascii():
        return _form(request, to=to, fault="This is not an API key.", status=HTTPStatus.UNAUTHORIZED)
    try:
        session = await sign_in(request, key)
    except SignedOut:
        return _form(request, to=to, fault=UNKNOWN, status=HTTPStatus.UNAUTHORIZED)
    except Refused as refused:
        return _form(request, to=to, fault=refused.sentence, status=refused.status)
    answer: Response[bytes] = Response(
        b"", media_type="text/plain", status_code=HTTPStatus.SEE_OTHER, headers={"location": own_page(to, HOME)}
    )
    answer.set_cookie(session_cookie(request, session.token.reveal()))
    if is_sent(request, PORTAL):
        answer.set_cookie(expired(request, PORTAL))
    return answer


@post("/sign-out", status_code=HTTPStatus.OK)
async def end_session(visit: VisitGiven) -> Response[bytes]:
    """End the session, and the token of a subscriber with it."""
    sessions: Sessions = visit.request.app.state.stores.sessions
    await sessions.end(visit.session.token)
    if visit.is_portal:
        await visit.api.call("POST", ("auth", "logout"))
    framed = is_portal(visit.request)
    answer = visit.redirect("/console/portal" if framed else "/console/sign-in")
    answer.set_cookie(expired(visit.request, PORTAL if framed else SESSION))
    return answer


def _form(
    request: Request[Any, Any, Any], *, to: str, fault: str = "", unsent: bool = False, status: int = 200
) -> Response[bytes]:
    now_ms = int(request.app.state.clock.now_ms())
    values = {"to": to, "fault": fault, "unsent": unsent}
    return render(request, "sign_in.html", status=status, now_ms=now_ms, values=values)

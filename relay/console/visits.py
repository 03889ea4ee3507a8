"""A visit: one request of a browser that is signed in, with everything that a page needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from litestar import Request, Response

from relay.console.api import Api, Refused, SignedOut
from relay.console.cookies import NOTICE, Notice, expired, read_notice, sessions_of, write_notice
from relay.console.csrf import check_form, check_origin, token_of
from relay.console.embedding import serve_operator, serve_portal
from relay.console.rendering import render
from relay.domain.model import Secret
from relay.store.sessions import Session, Sessions

if TYPE_CHECKING:
    from relay.console.listing import Listing

HOME = "/console"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
FOR_OPERATORS = frozenset({
    "application:write", "event_type:write", "operational_event:read", "operational_webhook:read",
    "operational_webhook:write", "source:read", "source:write",
})  # fmt: skip
"""Scopes of which the API refuses every operation to keys of one application: see relay.api.access."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a browser that is signed in."""

    request: Request[Any, Any, Any]
    session: Session
    api: Api
    principal: Mapping[str, Any]
    """The answer of `GET /api/v1/principal`."""
    form: Mapping[str, str] = field(default_factory=dict)
    """The fields of the form that was sent. Empty for a GET."""

    @property
    def now_ms(self) -> int:
        """The time, by the clock of the application."""
        return int(self.request.app.state.clock.now_ms())

    def may(self, scope: str) -> bool:
        """Whether the key can use a scope. It decides what a page offers; the API decides what is done."""
        return scope in self.principal["scopes"] and (self.is_operator or scope not in FOR_OPERATORS)

    @property
    def is_operator(self) -> bool:
        """Whether the key is for every application."""
        return self.principal["appId"] is None

    @property
    def is_portal(self) -> bool:
        """Whether this is a subscriber in the portal."""
        return bool(self.principal["isPortal"])

    def page(
        self, template: str, *, status: int = 200, listing: "Listing | Refused | None" = None, **values: Any
    ) -> Response[bytes]:
        """A page. Templates get the values, and what every page has.

        `listing`: the list of the page. Its status is the page's, and the page says what is wrong with its filter.
        """
        status = status if listing is None or isinstance(listing, Refused) else listing.status
        notice = read_notice(self.request)
        common = {"visit": self, "may": self.may, "csrf": token_of(self.session), "notice": notice, "listing": listing}
        answer = render(
            self.request,
            template,
            status=status,
            now_ms=self.now_ms,
            values=common | values,
        )
        if notice is not None:
            answer.set_cookie(expired(self.request, NOTICE))
        return answer

    def redirect(self, to: str, notice: Notice | None = None) -> Response[bytes]:
        """A redirect to one of our pages after a form, with a message for that page."""
        answer: Response[bytes] = Response(b"", media_type="text/plain", status_code=303, headers={"location": to})
        if notice is not None:
            answer.set_cookie(write_notice(self.request, notice))
        return answer

    async def act(
        self, method: str, *path: str, to: str, done: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> Response[bytes]:
        """Call an operation for a form, and redirect with a message that says what was done, or why it was not."""
        try:
            await self.api.call(method, path, body=body, query=query, once=self.once)
        except Refused as refused:
            return self.redirect(to, Notice("error", refused.sentence))
        return self.redirect(to, Notice("done", done))

    def back(self, otherwise: str) -> str:
        """The page of ours that a form says it was sent from (its field `from`), or another one."""
        return own_page(self.form.get("from", ""), otherwise)

    @property
    def once(self) -> str | None:
        """The idempotency key of the form: sending a form twice has one effect."""
        return self.form.get("once")


def own_page(to: str, otherwise: str) -> str:
    """An address that came from outside, if it is one of our pages; else another one.

    >>> own_page("/console/sources?limit=5", "/console"), own_page("/console//evil.example", "/console")
    ('/console/sources?limit=5', '/console')
    """
    path = to.partition("?")[0]
    plain = to.isascii() and to.isprintable() and "\\" not in to and "//" not in path and ".." not in path
    return to if plain and (path == HOME or path.startswith(HOME + "/")) else otherwise


async def provide_visit(request: Request[Any, Any, Any]) -> Visit:
    """The visit of a request. Raises SignedOut, PermissionDeniedException, or Refused."""
    # Pages that refresh themselves must not keep a session alive that nobody uses.
    by_itself = "hx-request" in request.headers or request.headers.get("accept") == "text/event-stream"
    used = not by_itself or request.method not in READING
    session = await session_of(request, extends=used)
    if session is not None:
        (serve_portal if session.link else serve_operator)(request)
    form: dict[str, str] = {}
    if request.method not in READING:
        check_origin(request)
        form = await fields_of(request)
    if session is None:
        raise SignedOut
    if request.method not in READING:
        check_form(session, form, request)
    api = Api(request, session.key)
    try:
        principal = await api.get("principal")
    except SignedOut:
        await _sessions(request).end(session.token)
        raise
    return Visit(request, session, api, principal, form)


async def fields_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a form. Of a field that was sent twice, the last one; files are left out."""
    sent = await request.form()
    return {str(name): value.strip() for name, value in sent.multi_items() if isinstance(value, str)}


async def sign_in(request: Request[Any, Any, Any], key: str) -> Session:
    """Begin a session with an API key. Raises Refused if the API refuses the key."""
    secret = Secret(key)
    await Api(request, secret).get("principal")
    return await begin(request, secret)


async def begin(request: Request[Any, Any, Any], key: Secret, *, link: str = "", ends_ms: int | None = None) -> Session:
    """Begin a session, and end those that the browser has. Raises StoreUnavailable."""
    sessions = _sessions(request)
    begun = await sessions.begin(key, now_ms=int(request.app.state.clock.now_ms()), link=link, ends_ms=ends_ms)
    for token in sessions_of(request):
        await sessions.end(token)
    return begun


async def session_of(request: Request[Any, Any, Any], *, extends: bool) -> Session | None:
    """The session of a request. A cookie whose session has ended hides no other one. Raises StoreUnavailable."""
    now_ms = int(request.app.state.clock.now_ms())
    for token in sessions_of(request):
        if (found := await _sessions(request).find(token, now_ms=now_ms, extends=extends)) is not None:
            return found
    return None


def _sessions(request: Request[Any, Any, Any]) -> Sessions:
    found: Sessions = request.app.state.stores.sessions
    return found

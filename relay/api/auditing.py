"""Writing the audit log: one entry for each request that changed something, before its answer is given."""

from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from itertools import pairwise
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from relay.api.access import PRINCIPAL, READING, Access, access_of
from relay.api.admission import Limits
from relay.api.answers import Held, held
from relay.api.problems import relay_error
from relay.api.request_ids import now_ms, request_id
from relay.domain.principals import Principal
from relay.errors import RelayError
from relay.store import journal
from relay.store.audit import Entry
from relay.store.journal import Change, Journal
from relay.wiring import Stores

NAMED = {
    "msg_id": "message",
    "endpoint_id": "endpoint",
    "sink_id": "endpoint",
    "uid": "source",
    "route": "route",
    "key_id": "key",
    "reconciliation_id": "reconciliation",
    "backfill_id": "backfill",
    "task_id": "background-task",
    "erasure_id": "erasure",
    "name": "event_type",
}
"""What the parameters of paths name, besides applications."""
VERBS = {"POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete", "GET": "read"}


class Auditing(ASGIMiddleware):
    """Notes who did what. A request whose entry cannot be written is answered 503, though its change was made."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on, and write its entry before its answer is given."""
        access = access_of(scope["route_handler"])
        method = str(scope.get("method"))
        if access is None or access.resource is None or method == "OPTIONS" or not _is_audited(access, method):
            await next_app(scope, receive, send)
            return
        with journal.opened() as notes:
            answer = await held(next_app, scope, receive)
            if answer.status < HTTPStatus.BAD_REQUEST:
                entry = self._entry(scope, access.subject or access.resource, notes, answer.status)
                answer = await self._written(scope, receive, entry, answer)
        await answer.give(send)

    async def _written(self, scope: Scope, receive: Receive, entry: Entry, answer: Held) -> Held:
        """The answer, or another one if its entry cannot be written."""
        stores: Stores = scope["litestar_app"].state.stores
        try:
            await stores.audit.write(entry)
        except RelayError as error:
            # The framework takes the answer for given: it would not handle an exception any more.
            request = Request[Any, Any, Any](scope, receive)
            return await held(relay_error(request, error).to_asgi_response(None, request), scope, receive)
        return answer

    def _entry(self, scope: Scope, subject: str, notes: Journal, status: int) -> Entry:
        principal: Principal = scope["state"][PRINCIPAL]
        method = str(scope.get("method"))
        template, collections = scope["path_template"], scope["litestar_app"].state.collections
        changes = notes.changes or list(_named(scope["path_params"]))
        return Entry(
            at_ms=now_ms(scope),
            principal=principal.id,
            name=principal.name,
            action=action_of(subject, method, template, collections),
            application=principal.application or notes.application or _application(changes),
            address=self._limits.address(scope),
            request_id=request_id(scope),
            method=method,
            path=scope["path"],
            status=status,
            changes=changes,
        )


def _is_audited(access: Access, method: str) -> bool:
    return method not in READING if access.audited is None else access.audited


def action_of(subject: str, method: str, template: str, collections: Collection[str]) -> str:
    """What a request does: the kind of thing that it is about, and the last word of its path, or what its method means.

    >>> action_of("source", "POST", "/api/v1/source/{uid}/pause", {"source"})
    'source.pause'
    >>> action_of("endpoint", "POST", "/api/v1/app/{app_id}/endpoint", {"app", "endpoint"})
    'endpoint.create'
    """
    last = template.rpartition("/")[2]
    is_verb = method in ("POST", "PUT") and not last.startswith("{") and last not in collections
    return f"{subject}.{last if is_verb else VERBS[method]}"


def collections_of(templates: Iterable[str]) -> frozenset[str]:
    """The words of paths that name a list: a parameter follows them."""
    found = set[str]()
    for template in templates:
        parts = template.split("/")
        found |= {word for word, after in pairwise(parts) if after.startswith("{") and word}
    return frozenset(found)


def _named(parameters: Mapping[str, Any]) -> Iterable[Change]:
    """The objects that a path names, for a request that changed no record."""
    return (Change(f"{kind}/{parameters[name]}") for name, kind in NAMED.items() if name in parameters)


def _application(changes: Iterable[Change]) -> str:
    """The application that a change of applications is about."""
    return next((each.object.partition("/")[2] for each in changes if each.object.startswith("application/")), "")

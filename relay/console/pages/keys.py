"""`/console/keys`: API keys. The answer to the form that creates one is the only page that shows its token."""

from typing import Any, NamedTuple

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused
from relay.console.forms import Entry
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import Visit
from relay.domain.principals import ACTIONS, Resource, granted, scope

FIELDS = ("name", "scopes", "appId", "expiresAt")
AT = "/console/keys"
DEFAULT = "read"
CHOSEN = "scope-"
"""How the names of the checkboxes begin."""
GENERAL = (
    ("read", "Read every resource except audit, endpoint_secret, key and recording"),
    ("write", "Read and change every resource except these four"),
)
RESOURCES: dict[Resource, str] = {
    Resource.APPLICATION: "Applications",
    Resource.ATTEMPT: "Attempts",
    Resource.AUDIT: "Audit log",
    Resource.ENDPOINT: "Endpoints",
    Resource.ENDPOINT_SECRET: "Signing secrets",
    Resource.EVENT_TYPE: "Event types",
    Resource.KEY: "API keys",
    Resource.MESSAGE: "Messages, with undelivered ones",
    Resource.OPERATIONAL_EVENT: "Operational events",
    Resource.OPERATIONAL_WEBHOOK: "Endpoints of operational webhooks",
    Resource.RECORDING: "Recordings of calls",
    Resource.SOURCE: "Sources",
}
"""What the scopes of each resource are about."""


class Choice(NamedTuple):
    """A scope that a form offers."""

    name: str
    is_chosen: bool
    can_be_given: bool
    """Whether the visitor's own key has it. Nobody gives more than they have."""


@get("/keys")
async def keys_page(visit: VisitGiven, iterator: FromQuery[str | None] = None) -> Response[bytes]:
    """The keys, without their tokens."""
    return await _page(visit, _empty(), iterator=iterator)


@post("/keys")
async def create_key(visit: VisitGiven) -> Response[bytes]:
    """Create a key. The page is the answer, so its token is in no address and no cookie."""
    scopes = [name.removeprefix(CHOSEN) for name in visit.form if name.startswith(CHOSEN)]
    form = {name: visit.form.get(name, "") for name in FIELDS} | {"scopes": " ".join(scopes)}
    body: dict[str, Any] = {name: form[name] for name in ("name", "appId", "expiresAt") if form[name]}
    body["scopes"] = scopes
    try:
        made = await visit.api.call("POST", ("key",), body={"name": "", **body}, once=visit.once)
    except Refused as refused:
        return await _page(visit, Entry(form, refused), status=refused.status)
    return await _page(visit, _empty(), made=made)


@post("/keys/{key:str}/delete")
async def delete_key(visit: VisitGiven, key: FromPath[str]) -> Response[bytes]:
    """Revoke a key."""
    return await visit.act("DELETE", "key", key, to=AT, done="The key is revoked. It is refused from now on.")


def _empty() -> Entry:
    return Entry(dict.fromkeys(FIELDS, "") | {"scopes": DEFAULT})


async def _page(
    visit: Visit, entry: Entry, *, made: Any = None, iterator: str | None = None, status: int = 200
) -> Response[bytes]:
    keys = await visit.api.get("key", limit=50, iterator=iterator)
    chosen = set(entry.value("scopes").split())

    def choice(name: str) -> Choice:
        can_be_given = granted([name]) <= set(visit.principal["scopes"])
        return Choice(name, name in chosen and can_be_given, can_be_given)

    return visit.page(
        "keys.html",
        status=status,
        keys=keys,
        entry=entry,
        made=made,
        general=[(choice(name), meaning) for name, meaning in GENERAL],
        resources=[
            (meaning, [choice(scope(resource, action)) for action in ACTIONS])
            for resource, meaning in RESOURCES.items()
        ],
    )

"""`/console/keys`: API keys. The answer to the form that creates one is the only page that shows its token."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery

from relay.console.api import Refused
from relay.console.forms import Entry, names_of
from relay.console.pages.signing_in import VisitGiven
from relay.console.visits import UNAUTHORIZED, Visit

FIELDS = ("name", "scopes", "appId", "expiresAt")
AT = "/console/keys"


@get("/keys")
async def keys_page(visit: VisitGiven, iterator: FromQuery[str | None] = None) -> Response[bytes]:
    """The keys, without their tokens."""
    return await _page(visit, _empty(), iterator=iterator)


@post("/keys")
async def create_key(visit: VisitGiven) -> Response[bytes]:
    """Create a key. The page is the answer, so its token is in no address and no cookie."""
    form = {name: visit.form.get(name, "") for name in FIELDS}
    body: dict[str, Any] = {name: form[name] for name in ("name", "appId", "expiresAt") if form[name]}
    body["scopes"] = names_of(form["scopes"])
    try:
        made = await visit.api.call("POST", ("key",), body={"name": "", **body}, once=visit.once)
    except Refused as refused:
        if refused.status == UNAUTHORIZED:
            raise
        return await _page(visit, Entry(form, refused), status=refused.status)
    return await _page(visit, _empty(), made=made)


@post("/keys/{key:str}/delete")
async def delete_key(visit: VisitGiven, key: FromPath[str]) -> Response[bytes]:
    """Revoke a key."""
    return await visit.act("DELETE", "key", key, to=AT, done="The key is revoked. It is refused from now on.")


def _empty() -> Entry:
    return Entry(dict.fromkeys(FIELDS, "") | {"scopes": "read"})


async def _page(
    visit: Visit, entry: Entry, *, made: Any = None, iterator: str | None = None, status: int = 200
) -> Response[bytes]:
    keys = await visit.api.get("key", limit=50, iterator=iterator)
    return visit.page("keys.html", status=status, keys=keys, entry=entry, made=made)

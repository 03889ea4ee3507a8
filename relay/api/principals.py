"""Who makes a request: what a client asks to learn what its own key can do."""

from litestar import get

from relay.api.access import NOTHING
from relay.api.dependencies import PrincipalGiven
from relay.api.schemas.portal import PrincipalOut, show_principal


@get("/principal", tags=["key"], summary="Get the key of the request", opt=NOTHING)
async def own_principal(principal: PrincipalGiven) -> PrincipalOut:
    """Get the API key, or the token of the portal, that makes this request, with its scopes. Requires no scope."""
    return show_principal(principal)

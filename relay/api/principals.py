"""Who makes a request: what a client asks to learn what its own key can do."""

from litestar import get

from relay.api.access import NOTHING
from relay.api.dependencies import PrincipalGiven
from relay.api.schemas.api_keys import PrincipalOut, show_principal


@get("/principal", tags=["key"], summary="Get the key of the request", opt=NOTHING)
async def own_principal(principal: PrincipalGiven) -> PrincipalOut:
    """Get the name, the scopes and the application of the API key that makes this request. Requires no scope."""
    return show_principal(principal)

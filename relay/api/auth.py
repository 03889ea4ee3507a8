"""Who makes a request: the key in `Authorization`, as a principal."""

import hashlib
import hmac

from relay.domain.model import Secret
from relay.domain.principals import ADMIN, PORTAL_PREFIX, Principal, principal_of
from relay.domain.tokens import is_valid, read_token
from relay.errors import Unauthorized, Unreadable
from relay.store.api_keys import ApiKeys
from relay.store.portal import PortalTokens

GIVE = "give the API key as `Authorization: Bearer …`"


class Authentication:
    """Finds the principal of a request. The operator's key is a setting; all others are in the store.

    A key is read for each request, so it stops working everywhere as soon as it is deleted.
    """

    def __init__(self, admin_key: Secret) -> None:
        self._admin = _digest(admin_key.reveal().encode())

    async def principal(self, header: str, api_keys: ApiKeys, portal: PortalTokens, *, now_ms: int) -> Principal:
        """The principal of an `Authorization` header. Raises Unauthorized, or StoreUnavailable."""
        scheme, _space, given = header.partition(" ")
        given = given.strip()
        # Digests have one length: the comparison must not tell how long the key is.
        is_admin = hmac.compare_digest(_digest(given.encode("latin-1", "replace")), self._admin)
        if scheme.lower() != "bearer":
            raise Unauthorized(GIVE)
        if is_admin:
            return ADMIN
        if (token := read_token(given)) is None:
            raise Unauthorized(f"this is not an API key; {GIVE}")
        try:
            found = portal if token[0].startswith(PORTAL_PREFIX) else api_keys
            key = await found.find(token[0])
        except Unreadable:
            key = None
        if key is None or not is_valid(key, token[1], now_ms=now_ms):
            raise Unauthorized("this API key is unknown, was deleted or rotated, or has expired")
        return principal_of(key)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()

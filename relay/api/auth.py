"""Access to the API: anyone who has the key can do everything."""

import hashlib
import hmac
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from relay.domain.model import Secret
from relay.errors import Unauthorized


def bearer(key: Secret) -> Guard:
    """A guard that accepts `Authorization: Bearer <key>`. It takes the same time to refuse every other key."""
    expected = _digest(key.reveal().encode())

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        scheme, _space, given = connection.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(_digest(given.strip().encode("latin-1", "replace")), expected)
        if scheme.lower() != "bearer" or not same:
            raise Unauthorized("give the API key as `Authorization: Bearer …`")

    return guard


def _digest(key: bytes) -> bytes:
    # Digests have one length: the comparison must not tell how long the key is.
    return hashlib.sha256(key).digest()

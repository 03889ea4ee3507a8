"""The public keys of an endpoint, with which receivers verify callbacks. They require no API key."""

import base64
import hashlib

import msgspec
from litestar import get
from litestar.params import FromPath
from litestar.response import Response

from relay.api.dependencies import ClockGiven, StoresGiven
from relay.api.parameters import check_parameters
from relay.api.schemas.common import Out
from relay.domain.model import EndpointId
from relay.domain.signing import PUBLIC_PREFIX, public_key, version_of
from relay.errors import NotFound

FRESH_S = 300
"""How long clients can cache a response: far less than the grace period of a replaced key."""


class PublicKeyOut(Out, frozen=True, kw_only=True):
    """An Ed25519 key as a JSON Web Key (RFC 8037), and as Standard Webhooks writes it."""

    kty: str = "OKP"
    """The key type."""
    crv: str = "Ed25519"
    """The curve."""
    use: str = "sig"
    """The key is for signatures."""
    kid: str
    """The key's thumbprint (RFC 7638)."""
    x: str
    """The public key in base64url."""
    public_key: str
    """The public key as `whpk_…`."""


class PublicKeysOut(Out, frozen=True, kw_only=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[PublicKeyOut]
    """The current key, followed by the replaced keys that still sign."""


@get(
    "/.well-known/webhook-keys/{endpoint_id:str}",
    tags=["endpoint"],
    summary="Get the public keys of an endpoint's callbacks",
    security=[],
    guards=[check_parameters],
)
async def webhook_keys(endpoint_id: FromPath[str], stores: StoresGiven, clock: ClockGiven) -> Response[PublicKeysOut]:
    """Get the keys that verify `v1a` signatures, by the id of the endpoint. 404: it has no public keys."""
    endpoint = await stores.endpoints.named(EndpointId(endpoint_id))
    now_ms = clock.now_ms()
    pairs = [key for key in endpoint.keys if version_of(key.key) == "v1a"]
    shown = [show_key(public_key(key.key)) for key in pairs if (key.expires_at_ms or now_ms + 1) > now_ms]
    if not shown:
        raise NotFound(f"there is no endpoint {endpoint_id} with public keys")
    return Response(PublicKeysOut(keys=shown), headers={"cache-control": f"public, max-age={FRESH_S}"})


def show_key(public: str) -> PublicKeyOut:
    """A `whpk_…` as responses show it."""
    x = _base64url(base64.b64decode(public.removeprefix(PUBLIC_PREFIX)))
    # RFC 7638 3: the required members in the order of their names, without spaces.
    named = msgspec.json.encode({"crv": "Ed25519", "kty": "OKP", "x": x})
    return PublicKeyOut(kid=_base64url(hashlib.sha256(named).digest()), x=x, public_key=public)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")

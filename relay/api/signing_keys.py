"""An endpoint's signing keys: creation, rotation, and what responses show."""

import secrets
from collections.abc import Iterable, Sequence

from msgspec import UNSET, structs

from relay.api.schemas.checks import prefixed
from relay.api.schemas.endpoint_parts import SecretOut, SecretRotateIn
from relay.api.schemas.endpoints import signatures_of
from relay.domain.model import Endpoint, SigningKey
from relay.domain.signing import (
    Version,
    is_same_key,
    new_private_key,
    new_secret,
    public_key,
    version_of,
)
from relay.errors import Conflict, Fault, Invalid

GRACE_S = 86_400
"""The default grace period of a replaced key (Standard Webhooks 1.0, Svix)."""
KEYS_AT_MOST = 5
"""The maximum of each version, because each key adds 50 to 100 bytes to a header of every callback."""


def new_keys(secret: str | None, versions: Sequence[Version] | None) -> tuple[SigningKey, ...]:
    """The keys of a new endpoint, one for each version. `secret` is the key of its own version. Raises Invalid."""
    given = None if secret is None else prefixed(secret)
    if versions is None:
        versions = [version_of(given)] if given else ["v1"]
    if given and version_of(given) not in versions:
        raise Invalid(Fault(("body", "secret"), wrong_version(given, versions)))
    return tuple(
        SigningKey(key=given if given and version_of(given) == version else _new(version))
        for version in sorted(set(versions))
    )


def resigned(keys: Iterable[SigningKey], versions: Sequence[Version]) -> tuple[SigningKey, ...]:
    """The keys after a change of `signatures`: new keys for added versions, and none for removed versions."""
    kept = [key for key in keys if version_of(key.key) in versions]
    current = {version_of(key.key): key for key in kept if key.expires_at_ms is None}
    made = {version: SigningKey(key=_new(version)) for version in versions if version not in current}
    newest = current | made
    return (
        *(newest[version] for version in sorted(newest)),
        *(key for key in kept if key.expires_at_ms is not None),
    )


def rotated(endpoint: Endpoint, body: SecretRotateIn, *, now_ms: int) -> Endpoint:
    """An endpoint with new current keys. Raises Invalid or Conflict.

    A given key replaces the current key of its version. Without one, the relay makes new keys of all versions. The
    replaced keys sign until the grace period ends. Keys that were replaced before keep their own grace periods.
    """
    grace_s = GRACE_S if body.grace_period_seconds in (UNSET, None) else int(body.grace_period_seconds)
    given = prefixed(body.key) if body.key else None
    if faults := rotation_faults(given, endpoint):
        raise Invalid(*faults)
    versions = [version_of(given)] if given else signatures_of(endpoint)
    fresh = [SigningKey(key=given or _new(version)) for version in versions]
    until_ms = now_ms + grace_s * 1000
    others = [key for key in endpoint.keys if not (given and is_same_key(key.key, given))]
    left = [
        SigningKey(key=key.key, expires_at_ms=until_ms)
        if key.expires_at_ms is None and version_of(key.key) in versions
        else key
        for key in others
    ]
    left = [key for key in left if key.expires_at_ms is None or key.expires_at_ms > now_ms]
    if any(sum(version_of(key.key) == version for key in left) >= KEYS_AT_MOST for version in versions):
        raise Conflict(
            f"{KEYS_AT_MOST} keys sign for this endpoint. Wait until one expires, rotate to one of them, or set "
            "`gracePeriodSeconds` to 0"
        )
    keys = sorted((*fresh, *left), key=lambda key: key.expires_at_ms is not None)
    return structs.replace(endpoint, keys=tuple(keys), updated_at_ms=now_ms)


def rotation_faults(given: str | None, endpoint: Endpoint) -> list[Fault]:
    """The faults of a key that should become the current key of its version."""
    if given is None:
        return []
    place, current = ("body", "key"), [key.key for key in endpoint.keys if key.expires_at_ms is None]
    if version_of(given) not in map(version_of, current):
        return [Fault(place, wrong_version(given, signatures_of(endpoint)))]
    if any(is_same_key(given, key) for key in current):
        return [Fault(place, "is the current key of this endpoint already; send another key, or omit it")]
    return []


def wrong_version(key: str, versions: Iterable[Version]) -> str:
    """Why a key cannot be used for these signatures."""
    made = version_of(key)
    return f"is a key for `{made}` signatures, and `signatures` is {', '.join(f'`{v}`' for v in sorted(versions))}"


def show_secret(endpoint: Endpoint) -> SecretOut:
    """The keys that verify callbacks. Responses never contain a private key."""
    current = {version_of(key.key): key.key for key in endpoint.keys if key.expires_at_ms is None}
    public = public_key(current["v1a"]) if "v1a" in current else None
    return SecretOut(key=current.get("v1") or public or "", public_key=public)


def _new(version: Version) -> str:
    random = secrets.token_bytes(32)
    return new_private_key(random) if version == "v1a" else new_secret(random)

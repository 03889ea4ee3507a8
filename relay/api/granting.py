"""From the body of a request to a stored API key. Nobody can give a key more than their own."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType, structs

from relay.api.access import own_application
from relay.api.schemas.api_keys import GRACE_DEFAULT_S, ApiKeyIn, ApiKeyPatch, ApiKeyRotateIn
from relay.api.schemas.common import ms
from relay.domain.model import ApplicationId
from relay.domain.operational import OPERATIONAL
from relay.domain.principals import SCOPES, ApiKey, KeyId, Principal
from relay.domain.tokens import SECRETS_MOST, renewed
from relay.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from relay.wiring import Stores


async def bound_to(body: ApiKeyIn, principal: Principal, stores: Stores) -> ApplicationId | None:
    """The application that a new key is for. Raises Invalid if it does not exist for the principal."""
    if not body.app_id:
        return principal.application
    if body.app_id == OPERATIONAL:
        raise Invalid(Fault(("body", "appId"), "is the relay's own application: choose another one"))
    try:
        return (await own_application(principal, body.app_id, stores)).id
    except NotFound as error:
        raise Invalid(Fault(("body", "appId"), str(error))) from None


def new_key(
    key: KeyId, body: ApiKeyIn, principal: Principal, *, app_id: ApplicationId | None, secret: str, now_ms: int
) -> ApiKey:
    """A new key. Raises Forbidden, or Invalid if it would have expired."""
    expires_at_ms = _expiry(body.expires_at, principal.expires_at_ms, now_ms=now_ms)
    _check_grant(principal, body.scopes)
    made = ApiKey(
        id=key, name=body.name, scopes=_ordered(body.scopes), app_id=app_id, secrets=(), created_at_ms=now_ms,
        expires_at_ms=expires_at_ms,
    )  # fmt: skip
    _check_expiry(principal, made)
    return renewed(made, secret, grace_ms=0, now_ms=now_ms)


def patched(key: ApiKey, body: ApiKeyPatch, principal: Principal, *, now_ms: int) -> ApiKey:
    """A key after a PATCH. Raises Forbidden or Invalid."""
    check_hold(principal, key)
    changed = structs.replace(
        key,
        name=key.name if body.name is UNSET else body.name,
        scopes=key.scopes if body.scopes is UNSET else _ordered(body.scopes),
        expires_at_ms=_expiry(body.expires_at, key.expires_at_ms, now_ms=now_ms),
        updated_at_ms=now_ms,
    )
    _check_grant(principal, changed.scopes)
    _check_expiry(principal, changed)
    return changed


def rotated(key: ApiKey, body: ApiKeyRotateIn, principal: Principal, *, secret: str, now_ms: int) -> ApiKey:
    """A key with a new token. Raises Forbidden, or Conflict if too many replaced tokens still work."""
    check_hold(principal, key)
    given = body.grace_period_seconds
    grace_s = GRACE_DEFAULT_S if given is UNSET or given is None else given
    changed = renewed(key, secret, grace_ms=grace_s * 1000, now_ms=now_ms)
    if len(changed.secrets) > SECRETS_MOST:
        raise Conflict(
            f"a key has at most {SECRETS_MOST} tokens that work; wait until the grace period of a replaced one ends"
        )
    return changed


def check_hold(principal: Principal, key: ApiKey) -> None:
    """Raise Forbidden if a principal would act on a key that can do more, or works longer, than itself."""
    _check_grant(principal, key.scopes)
    _check_expiry(principal, key)


def _check_grant(principal: Principal, scopes: object) -> None:
    if missing := principal.missing(msgspec.convert(scopes, list[str])):
        raise Forbidden(
            f"this API key lacks {', '.join(f'`{each}`' for each in missing)}, which the other key has or gets"
        )


def _check_expiry(principal: Principal, key: ApiKey) -> None:
    until = principal.expires_at_ms
    if until is not None and (key.expires_at_ms is None or key.expires_at_ms > until):
        raise Forbidden("this API key expires, so it can only act on keys that expire no later")


def _expiry(given: str | UnsetType | None, otherwise: int | None, *, now_ms: int) -> int | None:
    if given is UNSET:
        return otherwise
    if given is None:
        return None
    at_ms = ms(msgspec.convert(given, datetime))
    if at_ms <= now_ms:
        raise Invalid(Fault(("body", "expiresAt"), "must be in the future"))
    return at_ms


def _ordered(scopes: list[str]) -> tuple[str, ...]:
    return tuple(each for each in SCOPES if each in scopes)

"""Letting requests in: each has a principal, a quota and a scope before anything else looks at it.

A request with a valid key counts for the key alone, so that nobody can use up the quota of others behind the same
proxy. Every other request counts for its address. Keys are too long to be guessed, so the quota of addresses bounds
work and log lines, and never shuts out a valid key.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import structlog
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from relay.api.access import PRINCIPAL, access_of, check_access
from relay.api.auth import Authentication
from relay.api.change_log import operation_of
from relay.api.request_ids import now_ms
from relay.domain.callers import caller
from relay.domain.principals import Principal
from relay.errors import TooMany, Unauthorized
from relay.store.quotas import Quota
from relay.wiring import Stores

log = structlog.get_logger()

WINDOW_S = 60
"""Quotas are those of a minute."""
HEADERS = "headers"
"""The name in a request's state of further headers of its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What callers can take up, and which proxies tell who they are."""

    key_per_minute: int = 12_000
    address_per_minute: int = 600
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()

    def address(self, scope: Scope) -> str:
        """The address of a request's caller."""
        client = scope.get("client")
        forwarded = Headers.from_scope(scope).getall("x-forwarded-for", [])
        return caller(client[0] if client else None, ",".join(forwarded), self.trusted_proxies)


class Admission(ASGIMiddleware):
    """Lets a request in whose key is valid, has requests left, and includes the operation."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, authentication: Authentication, limits: Limits) -> None:
        self._authentication = authentication
        self._limits = limits

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on. Raises Unauthorized, Forbidden, TooMany or StoreUnavailable."""
        stores: Stores = scope["litestar_app"].state.stores
        principal = await self._principal(scope, stores)
        scope["state"][PRINCIPAL] = principal
        method = str(scope.get("method"))
        access = access_of(scope["route_handler"])
        if access is not None and method != "OPTIONS":
            check_access(principal, access, method=method, template=scope["path_template"])
        await next_app(scope, receive, send)

    async def _principal(self, scope: Scope, stores: Stores) -> Principal:
        header, at_ms = Headers.from_scope(scope).get("authorization", ""), now_ms(scope)
        per_minute = self._limits.key_per_minute
        try:
            principal = await self._authentication.principal(header, stores.api_keys, stores.portal, now_ms=at_ms)
            quota = await stores.quotas.of_principal(principal, per_minute=per_minute, now_ms=at_ms)
            if quota is None:
                raise Unauthorized("this API key, or its application, was deleted")
        except Unauthorized as error:
            await count_address(scope, stores, self._limits)
            address, operation = self._limits.address(scope), operation_of(scope)
            log.warning("login_failed", address=address, operation=operation, reason=str(error))
            raise
        _check(scope, quota, policy="key", per_minute=per_minute)
        return principal


class AddressQuota(ASGIMiddleware):
    """Bounds the requests of an address to operations that require no key."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass a request on. Raises TooMany or StoreUnavailable."""
        await count_address(scope, scope["litestar_app"].state.stores, self._limits)
        await next_app(scope, receive, send)


async def count_address(scope: Scope, stores: Stores, limits: Limits) -> None:
    """Count a request for its address. Raises TooMany or StoreUnavailable."""
    per_minute = limits.address_per_minute
    quota = await stores.quotas.of_address(limits.address(scope), per_minute=per_minute)
    _check(scope, quota, policy="address", per_minute=per_minute)


def _check(scope: Scope, quota: Quota, *, policy: str, per_minute: int) -> None:
    """Say how a quota stands in the answer (draft-ietf-httpapi-ratelimit-headers-11). Raises TooMany."""
    wait_s = math.ceil(quota.wait_s)
    headers: dict[str, Any] = scope["state"].setdefault(HEADERS, {})
    headers["ratelimit-policy"] = f'"{policy}";q={per_minute};w={WINDOW_S}'
    headers["ratelimit"] = f'"{policy}";r={quota.left};t={wait_s}'
    if not quota.counted:
        subject = "one API key" if policy == "key" else "one address without a valid API key"
        raise TooMany(f"too many requests: {subject} can make {per_minute} a minute", retry_after_s=wait_s)

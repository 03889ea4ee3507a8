"""Limits of callers: quotas by key and address, what answers say of them, and which web pages can call the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from relay.api.admission import Limits
from relay.api.app import create_api
from relay.domain.addresses import EgressPolicy
from relay.domain.model import Secret
from relay.pipeline.clock import Clock
from relay.store import request_keys
from relay.wiring import Stores
from tests.integration.api.conftest import KEY
from tests.integration.api.test_api_keys import bearer, created

ORIGIN = "https://console.example"


@asynccontextmanager
async def caller_of(stores: Stores, limits: Limits, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the operator's key of an API with these limits, from an address that is not trusted."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Stores]:
        yield stores

    api = create_api(opened, admin_key=Secret(KEY), policy=EgressPolicy(), clock=Clock(), limits=limits, **options)
    api.state.stores = stores
    transport = httpx.ASGITransport(api, client=("203.0.113.1", 1))
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://relay/api/v1", headers=headers) as client:
        yield client


async def test_a_key_has_a_quota_of_its_own(stores: Stores) -> None:
    """Each answer says what is left. When nothing is, it is 429 and says how long to wait; other keys go on."""
    async with caller_of(stores, Limits(key_per_minute=5)) as http:
        key = await created(http)
        answers = [await http.get("/app", headers=bearer(key["token"])) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        left = [answer.headers["ratelimit"] for answer in answers]
        assert left == [f'"key";r={n};t=12' for n in (4, 3, 2, 1, 0, 0)]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"key";q=5;w=60'}
        refused = answers[-1]
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "12")
        assert "5 a minute" in refused.json()["detail"]
        assert (await http.get("/app")).status_code == 200
        # A minute holds 5 requests, so one is free again after 12 s.
        name = request_keys.quota(key["id"])
        await stores.redis.set(name, int(await stores.redis.get(name) or 0) - 12_000_000)
        again = [await http.get("/app", headers=bearer(key["token"])) for _ in range(2)]
        assert [answer.status_code for answer in again] == [200, 429]


async def test_an_address_without_a_valid_key_has_a_quota(stores: Stores) -> None:
    """Wrong keys, no keys and public operations count together. A valid key from there is not shut out."""
    async with caller_of(stores, Limits(address_per_minute=3)) as http:
        for headers in (bearer("wrong"), bearer("rlk_wrong")):
            answer = await http.get("/app", headers=headers)
            assert (answer.status_code, answer.headers["ratelimit-policy"]) == (401, '"address";q=3;w=60')
        public = await http.get("http://relay/.well-known/webhook-keys/ep_1")
        assert (public.status_code, public.headers["ratelimit"]) == (404, '"address";r=0;t=20')
        for path in ("/app", "http://relay/.well-known/webhook-keys/ep_1"):
            refused = await http.get(path, headers=bearer("wrong"))
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "20")
        assert (await http.get("/app")).status_code == 200
        assert (await http.get("http://relay/health/live")).status_code == 200


async def test_callers_behind_a_trusted_proxy_are_told_apart(stores: Stores) -> None:
    """By the last address that is not the proxy's. What a caller writes into the header itself counts for nothing."""
    trusted = Limits(address_per_minute=1, trusted_proxies=(ip_network("203.0.113.0/24"),))
    async with caller_of(stores, trusted) as http:
        statuses = [
            (await http.get("/app", headers={**bearer("wrong"), "x-forwarded-for": chain})).status_code
            for chain in (
                "198.51.100.1",
                "198.51.100.1",
                "198.51.100.2",
                "6.6.6.6, 198.51.100.2",
                "::ffff:198.51.100.2",
            )
        ]
    assert statuses == [401, 429, 401, 429, 429]
    await stores.redis.flushdb()
    async with caller_of(stores, Limits(address_per_minute=1)) as http:
        chains = ("198.51.100.1", "198.51.100.2")
        answers = [await http.get("/app", headers={**bearer("wrong"), "x-forwarded-for": chain}) for chain in chains]
    assert [answer.status_code for answer in answers] == [401, 429]


async def test_a_bucket_expires(stores: Stores) -> None:
    """Nothing is kept of a caller that was not seen for a minute."""
    async with caller_of(stores, Limits()) as http:
        await http.get("/app")
        await http.get("/app", headers=bearer("wrong"))
    names = [name async for name in stores.redis.scan_iter(f"{request_keys.quota('')}*")]
    assert len(names) == 2
    for name in names:
        assert 0 < await stores.redis.pttl(name) <= 60_000


@pytest.mark.parametrize(("origins", "allowed"), [((), None), ((ORIGIN,), ORIGIN), (("*",), "*")])
async def test_only_pages_of_the_named_origins_can_call(
    stores: Stores, origins: tuple[str, ...], allowed: str | None
) -> None:
    """Off by default. A page of an allowed origin may send a key, and read the headers that say what is left."""
    async with caller_of(stores, Limits(), origins=origins) as http:
        asked = {"origin": ORIGIN, "access-control-request-method": "PATCH",
                 "access-control-request-headers": "authorization, idempotency-key"}  # fmt: skip
        preflight = await http.request("OPTIONS", "/app/one", headers=asked)
        answer = await http.get("/app", headers={"origin": ORIGIN})
        other = await http.get("/app", headers={"origin": "https://evil.example"})
    assert preflight.headers.get("access-control-allow-origin") == allowed
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert other.headers.get("access-control-allow-origin") == ("*" if allowed == "*" else None)
    if allowed:
        assert preflight.status_code == 204
        assert "ratelimit" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers

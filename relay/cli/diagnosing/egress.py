"""Whether callbacks could be sent: names of endpoints' hosts, and rules for their addresses. Nothing is sent."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from relay.cli.diagnosing import Finding, Well, Wrong
from relay.concurrency import all_of
from relay.config import Settings
from relay.domain.credentials import Tokens
from relay.domain.model import ApplicationId, Endpoint, EndpointId
from relay.errors import Invalid
from relay.outbound.resolver import LookupFailed, Resolver
from relay.outbound.targets import vet_url
from relay.outbound.vetting import AddressRefused, Vetting
from relay.wiring import Stores, egress_policy

MOST_ENDPOINTS = 10_000
PAGE = 250
AT_ONCE = 16
NAMED = 3


async def endpoints_of(stores: Stores) -> AsyncIterator[Endpoint]:
    """All endpoints that are called, up to MOST_ENDPOINTS."""
    after: tuple[ApplicationId, EndpointId] | None = None
    for _ in range(MOST_ENDPOINTS // PAGE):
        page = await stores.endpoints.everywhere(after=after, limit=PAGE)
        for endpoint in page.values:
            if endpoint.type == "webhook":
                yield endpoint
        if not page.values:
            return
        after = (page.values[-1].app_id, page.values[-1].id)


async def check_egress(settings: Settings, endpoints: Sequence[Endpoint]) -> list[Finding]:
    """A finding for each host that cannot be called, and one for all others together."""
    policy, resolver = egress_policy(settings), Resolver(nameservers=settings.nameservers or None)
    vetting, places = Vetting(resolver, policy), asyncio.Semaphore(AT_ONCE)
    users: dict[tuple[str, int, bool], list[str]] = {}
    found: list[Finding] = []
    for endpoint in endpoints:
        for url in _urls(endpoint):
            try:
                target = vet_url(url, policy)
            except Invalid as error:
                do = "change the url, or allow its network with RELAY_EGRESS_ALLOW and its port with RELAY_EGRESS_PORTS"
                text = "; ".join(fault.message for fault in error.faults)
                found.append(Wrong(area=f"endpoint {endpoint.id}", state="failed", text=text, do=do))
                continue
            if target.address is None:
                users.setdefault((target.host, target.port, target.listed_only), []).append(endpoint.id)
    try:
        checked = await all_of(*(_check(*key, ids, vetting, places) for key, ids in users.items()))
    finally:
        await resolver.close()
    found += [each for each in checked if each is not None]
    well = len(users) - sum(each is not None for each in checked)
    if well or not found:
        text = f"{well} host names of endpoints have addresses that may be called"
        found.append(Well(area="egress", text=text))
    return found


def _urls(endpoint: Endpoint) -> list[str]:
    urls = [endpoint.dialled_url]
    if isinstance(endpoint.auth, Tokens):
        urls.append(endpoint.auth.token_url)
    return urls


async def _check(
    host: str, port: int, listed_only: bool, endpoints: list[str], vetting: Vetting, places: asyncio.Semaphore
) -> Finding | None:
    more = f" and {len(endpoints) - NAMED} more" if len(endpoints) > NAMED else ""
    area = f"host {host}:{port} of {', '.join(endpoints[:NAMED])}{more}"
    async with places:
        try:
            vetted = await vetting.vet(host)
        except LookupFailed as error:
            do = "check the name, and the name servers of this machine or RELAY_NAMESERVERS"
            if error.absent:
                do = "the name does not exist: correct the url of the endpoint"
            return Wrong(area=area, state="failed", text=f"DNS: {error}", do=do)
        except AddressRefused as error:
            return Wrong(area=area, state="failed", text=f"one of its addresses is forbidden ({error})", do=ALLOW)
    if listed_only and not vetted.listed:
        return Wrong(area=area, state="failed", text="http, this port or a local name is not allowed there", do=ALLOW)
    return None


ALLOW = "correct the url, or allow its network with RELAY_EGRESS_ALLOW if it is your own"

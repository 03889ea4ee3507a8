"""Whether each source can be polled: one real request with its credentials, for the newest row of its first route."""

import asyncio
import time
from collections.abc import Sequence

from relay.cli.diagnosing import Finding, Well, Wrong
from relay.cli.diagnosing.clocks import Dated, upstream_clock
from relay.concurrency import all_of
from relay.config import Settings
from relay.domain.masking import masked_numbers
from relay.domain.model import Source
from relay.errors import Late, Refused, UpstreamError
from relay.outbound.reports_api import ReportsApi
from relay.outbound.resolver import Resolver
from relay.outbound.upstream_transport import UNREACHABLE, UpstreamTransport
from relay.wiring import USER_AGENT, upstream_policy

DEADLINE_S = 20.0
AT_ONCE = 8


async def check_upstreams(settings: Settings, sources: Sequence[Source]) -> list[Finding]:
    """A finding for each source, and one for each upstream whose clock is far from that of this machine."""
    resolver = Resolver(nameservers=settings.nameservers or None)
    transport = Dated(UpstreamTransport(policy=upstream_policy(settings), resolver=resolver))
    reports = ReportsApi(transport, user_agent=USER_AGENT, deadline_s=DEADLINE_S, stall_s=DEADLINE_S / 2)
    places = asyncio.Semaphore(AT_ONCE)
    try:
        found = await all_of(*(_check(source, reports, places) for source in sources))
        now_ms = time.time_ns() // 1_000_000
        clocks = [upstream_clock(host, date, now_ms) for host, date in transport.dates.items()]
    finally:
        await transport.aclose()
        await resolver.close()
    return [*found, *(each for each in clocks if each is not None)]


async def _check(source: Source, reports: ReportsApi, places: asyncio.Semaphore) -> Finding:
    area, route = f"source {source.uid}", source.routes[0]
    async with places:
        try:
            newest = await reports.newest(source, route)
        except UpstreamError as error:
            return Wrong(area=area, state="failed", text=masked_numbers(str(error)), do=_advice(source, error))
    paused = ", and the source is paused" if source.paused else ""
    rows = "has no rows yet" if newest == 0 else "has rows"
    return Well(area=area, text=f"the credentials are accepted, and {route} {rows}{paused}")


def _advice(source: Source, error: UpstreamError) -> str:
    if isinstance(error, Refused):
        return (
            f"send the credentials again with PUT /api/v1/source/{source.uid} or relay apply --secrets, and check that "
            f"they may read igrp {source.igrp} in version {source.version}"
        )
    if UNREACHABLE in str(error):
        return "check the name, DNS and the firewall. A private address needs RELAY_UPSTREAM_ALLOW"
    if isinstance(error, Late):
        return "Infinity is slow, or a firewall drops packets: try again, and look at the network policies"
    return "check the baseUrl, the version and the igrp of the source"

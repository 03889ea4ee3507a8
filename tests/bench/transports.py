"""The ground that everything stands on: what the sink can take, and what clients and the relay's sender reach."""

import base64
import os
from ipaddress import IPv4Network

from relay.domain.addresses import EgressPolicy
from relay.domain.model import ApplicationId, Endpoint, EndpointId, SigningKey
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.resolver import Resolver
from tests.bench.bench import Bench
from tests.bench.driving import BODY, Pace, drive, drive_bare

PART = "transports"
TEXT = "one process and one sink, 64 requests in flight, 2.2 kB each"
REQUESTS = 12_000
LOOPBACK = IPv4Network("127.0.0.0/8")


async def run(bench: Bench) -> None:
    """Measure each beside the baselines."""
    bench.report.begin(PART, TEXT)
    count = bench.size(REQUESTS)
    drivers = {
        "the sink alone, by bytes": (lambda: drive_bare(bench.sink, count), False),
        "the relay's sender, guarded, signed": (lambda: drive_sender(bench, count), False),
        "the same over TLS": (lambda: drive_sender(bench, count, tls=True), True),
    }
    for what, (driver, tls) in drivers.items():
        if tls and bench.sink.tls_port is None:
            bench.report.say(f"{what}: left out, for {bench.sink.kind} has no TLS here")
            continue
        results = await bench.beside_baselines(driver, tls=tls)
        paces = [pace for pace, _ in results]
        bench.add(
            PART,
            what,
            [pace.per_s for pace in paces],
            "/s",
            baselines=[baselines for _, baselines in results],
            note=f"{sorted(pace.cpu_us for pace in paces)[len(paces) // 2]:.0f} µs of this process each",
        )


async def drive_sender(bench: Bench, count: int, *, tls: bool = False) -> Pace:
    """What the relay's own sender reaches, without lanes and a store."""
    policy, roots = EgressPolicy(allow=(LOOPBACK,)), (bench.sink.root,) if tls else ()
    resolver = Resolver()
    transport = Egress(policy=policy, resolver=resolver, options=EgressOptions(roots=roots))
    sender = CallbackSender(transport, policy=policy, user_agent="bench")
    key = SigningKey(key="whsec_" + base64.b64encode(os.urandom(32)).decode())
    url = bench.sink.tls_url if tls else bench.sink.url
    endpoint = Endpoint(id=EndpointId("ep_1"), app_id=ApplicationId("app_1"), url=url, keys=(key,))
    prepared = sender.prepare(endpoint)

    async def send() -> None:
        outcome = await sender.send(
            prepared, Callback(message_id="msg_bench", body=BODY, timestamp_s=1_700_000_000), deadline_s=20.0
        )
        assert outcome.status == 204

    # The first one waits for the authorities to be read.
    await send()
    pace = await drive(send, count)
    await transport.aclose()
    await resolver.close()
    return pace

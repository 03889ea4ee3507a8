"""The ground that everything stands on: what the sink can take, and what bare clients and the relay's sender reach."""

import asyncio
import base64
import os
import time

from relay.domain.addresses import EgressPolicy
from relay.domain.model import ApplicationId, Endpoint, EndpointId, SigningKey
from relay.outbound.callbacks import CallbackSender
from tests.bench.bench import Bench
from tests.bench.driving import (
    BODY,
    IN_FLIGHT,
    LOOPBACK,
    BareTransport,
    Pace,
    drive_bare,
    drive_transport,
    relay_transport,
)

PART = "transports"
TEXT = "one process and one sink, 64 requests in flight, 2.2 kB each"
REQUESTS = 12_000


async def run(bench: Bench) -> None:
    """Measure each beside the bare transport."""
    bench.report.begin(PART, TEXT)
    count = bench.size(REQUESTS)
    drivers = {
        "the sink alone, by bytes": lambda: drive_bare(bench.sink, count),
        "the bare transport": lambda: drive_transport(BareTransport(), bench.sink, count),
        "the relay's sender, guarded, signed": lambda: drive_sender(bench, count),
    }
    for what, drive in drivers.items():
        results = await bench.beside_baseline(drive)
        paces = [pace for pace, _ in results]
        bench.add(
            PART,
            what,
            [pace.per_s for pace in paces],
            "/s",
            baselines=[baseline for _, baseline in results],
            note=f"{sorted(pace.cpu_us for pace in paces)[len(paces) // 2]:.0f} µs of this process each",
        )


async def drive_sender(bench: Bench, count: int) -> Pace:
    """What the relay's own sender reaches, without lanes and a store."""
    transport = relay_transport()
    sender = CallbackSender(transport, policy=EgressPolicy(allow=(LOOPBACK,)), user_agent="bench")
    key = SigningKey(key="whsec_" + base64.b64encode(os.urandom(32)).decode())
    endpoint = Endpoint(id=EndpointId("ep_1"), app_id=ApplicationId("app_1"), url=bench.sink.url, keys=(key,))
    prepared = sender.prepare(endpoint)
    turns = iter(range(count))

    async def send() -> None:
        for _ in turns:
            outcome = await sender.send(
                prepared, message_id="msg_bench", body=BODY, timestamp_s=1_700_000_000, deadline_s=20.0
            )
            assert outcome.status == 204

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
    pace = Pace(count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6)
    await transport.aclose()
    return pace

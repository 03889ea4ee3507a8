"""Addresses that no callback may reach, with somebody listening at each of them."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

from relay.domain.addresses import Allowed, EgressPolicy
from relay.domain.outcomes import Failure
from tests.fault.addresses import FORBIDDEN
from tests.fault.case import Finding, Skipped, case
from tests.fault.dns_server import DnsServer, dns_server
from tests.fault.hostile_sink import canary, hostile_sink
from tests.fault.sending import Send, sending

NOT_ALLOWED = 77
"""Exit code of a namespace that could not be set up."""

_SETUP = (
    "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo"
    f' || exit {NOT_ALLOWED}; exec "$@"'
)
"""Makes every address there is one of this machine."""


@case("forbidden-addresses", goal="G30", seconds=5)
async def forbidden_addresses(_seed: int) -> AsyncIterator[Finding]:
    """In a network where every address listens: nothing is dialled but public ones."""
    if missing := [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]:
        raise Skipped(f"needs {' and '.join(missing)}, of util-linux and iproute2")
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--net", "--map-root-user", "sh", "-c", _SETUP, "sh"),
        *(sys.executable, "-m", "tests.fault.walled"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await process.communicate()
    # unshare itself ends with 1, and has said nothing of findings then.
    if process.returncode == NOT_ALLOWED or complaint.startswith(b"unshare:"):
        raise Skipped(f"needs a network namespace of its own: {complaint.decode(errors='replace').strip()}")
    if process.returncode:
        raise RuntimeError(complaint.decode(errors="replace").strip().splitlines()[-1])
    for line in out.splitlines():
        yield Finding(**json.loads(line))


ATTEMPTS = 10_000
ATTACKERS = 16
GOOD, BAD = "127.0.0.1", "127.0.0.2"
FLIPS = ((GOOD,), (BAD,), (GOOD, BAD), (GOOD,), ("169.254.169.254",))


@case("rebinding", goal="G31", seconds=20)
async def rebinding(_seed: int) -> AsyncIterator[Finding]:
    """Names whose answers flip with each look-up, and answers that mix good addresses with forbidden ones."""
    policy = EgressPolicy(allow=(ip_network(GOOD),))
    async with (
        dns_server() as (names, address),
        hostile_sink() as sink,
        canary(BAD, sink.port) as bird,
        sending(policy, nameserver=address) as send,
    ):
        through, refused = await _flipping(send, names, sink.port)
        note = f"{through} attempts went to the good address, {refused} were refused"
        yield Finding("forbidden connects while answers flip", bird.touched, "==", 0, "", note)
        yield Finding("attempts that ended one way or the other", through + refused, "==", ATTEMPTS)
        yield Finding("of those, the rarer way", min(through, refused), ">=", ATTEMPTS / 10, "", "else it did not flip")
        before = sink.connections
        mixed = _mix(names, policy)
        outcomes = [await send(f"http://{name}:{sink.port}/fine") for name in mixed]
        share = 100 * sum(outcome.error is Failure.REFUSED_ADDRESS for outcome in outcomes) / len(mixed)
        yield Finding("mixed answers that were refused", share, "==", 100, "%", f"of {len(mixed)}")
        yield Finding("connects because of them", sink.connections - before + bird.touched, "==", 0)


async def _flipping(send: Send, names: DnsServer, port: int) -> tuple[int, int]:
    """How many attempts reached the good address, and how many were refused."""
    counts: dict[int | str, int] = {204: 0, Failure.REFUSED_ADDRESS: 0}

    async def attack(number: int) -> None:
        name = f"w{number}.example.com"
        names.zones[name] = lambda turn: FLIPS[(turn + number) % len(FLIPS)]
        for _ in range(ATTEMPTS // ATTACKERS):
            outcome = await send(f"http://{name}:{port}/fine", deadline_s=5.0)
            found = outcome.error or outcome.status
            counts[found] = counts.get(found, 0) + 1

    await asyncio.gather(*map(attack, range(ATTACKERS)))
    return counts[204], counts[Failure.REFUSED_ADDRESS]


def _mix(names: DnsServer, policy: EgressPolicy) -> list[str]:
    """Names with one forbidden address each, before, behind and among good ones, and behind a CNAME."""
    addresses = [ip_address(text) for text, _ in FORBIDDEN if "%" not in text]
    mixed = []
    for number, bad in enumerate(each for each in addresses if not isinstance(policy.judge(each), Allowed)):
        names.always(f"hidden{number}.example.com", GOOD, str(bad))
        answers = ((GOOD, str(bad)), (str(bad), GOOD), (GOOD, str(bad), "::ffff:" + GOOD))
        for turn, records in enumerate((*answers, (f"hidden{number}.example.com",))):
            mixed.append(f"mixed{number}-{turn}.example.com")
            names.always(mixed[-1], *records)
    return mixed

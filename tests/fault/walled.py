"""Run inside a network namespace to which every address is its own: tries all forbidden ones, and prints findings.

`python -m tests.fault.walled`, started by the case `forbidden-addresses`; one JSON object a line.
"""

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from pathlib import Path

import uvloop

from relay.domain.addresses import EgressPolicy
from relay.domain.outcomes import Failure
from tests.fault.addresses import FORBIDDEN, HOSTS, NAMES, PUBLIC
from tests.fault.case import Finding
from tests.fault.dns_server import dns_server
from tests.fault.hostile_sink import Canary, canary
from tests.fault.sending import sending

PORTS = (80, 443, 8443)


async def main() -> None:
    """Try the forbidden addresses, then those that show that the canaries sing."""
    async with AsyncExitStack() as stack:
        names, nameserver = await stack.enter_async_context(dns_server())
        # At no address in particular: at all of both families.
        birds = [await stack.enter_async_context(canary("", port)) for port in PORTS]
        send = await stack.enter_async_context(sending(EgressPolicy(), nameserver=nameserver))
        urls = forbidden_urls()
        for number, (address, _) in enumerate(FORBIDDEN):
            if "%" not in address:
                names.always(f"v{number}.example.com", address)
                urls.append(f"https://v{number}.example.com/")
        dialled = _dialled()
        outcomes = {url: await send(url) for url in urls}
        await asyncio.sleep(0.2)
        dialled = _dialled() - dialled
        refused = [url for url, outcome in outcomes.items() if outcome.error is Failure.REFUSED_ADDRESS]
        missed = next((url for url in urls if url not in refused), "")
        share = 100 * len(refused) / len(urls)
        say("forbidden URLs and names", len(urls), ">=", 140)
        say("of those, refused", share, "==", 100, "%", f"not refused: {missed!a}" if missed else "")
        say("connects at canaries", _touched(birds), "==", 0, "", f"on ports {', '.join(map(str, PORTS))}")
        say("connections that were begun", dialled, "==", 0, "", "as the kernel counts them")
        reached = sum([await _reaches(address) for address, _ in FORBIDDEN])
        note = "by a plain connect, else nothing was tried"
        say("forbidden addresses at which a canary listens", reached, ">=", 60, "", note)
        before = _touched(birds)
        public = [await send(f"https://{_host(address)}/") for address in PUBLIC]
        false = sum(outcome.error is Failure.REFUSED_ADDRESS for outcome in public)
        say("public addresses refused", false, "==", 0, "", f"of {len(public)}")
        say("public addresses reached", _touched(birds) - before, ">=", len(public))


def forbidden_urls() -> list[str]:
    """Each forbidden address and name, by https on both ports and by http."""
    hosts = dict.fromkeys((*HOSTS, *NAMES, *(_host(address) for address, _ in FORBIDDEN)))
    return [url for host in hosts for url in (f"https://{host}/hook", f"https://{host}:8443/", f"http://{host}/")]


def say(*finding: object) -> None:
    """Print a finding."""
    print(json.dumps(asdict(Finding(*finding))), flush=True)  # type: ignore[arg-type]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _touched(birds: list[Canary]) -> int:
    return sum(bird.touched for bird in birds)


def _dialled() -> int:
    """TCP connections that were begun in this namespace so far."""
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:4] == "Tcp:")
    return int(values[names.index("ActiveOpens")])


async def _reaches(address: str) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(address, 443)
        writer.close()
        return True
    return False


if __name__ == "__main__":
    uvloop.run(main())

"""The baseline of `many-sources`: a loop that asks for every source with httpx, and keeps nothing.

Arguments: the URL of the upstream, how many sources, and the seconds between two polls of each.
"""

import asyncio
import random
import sys

import httpx
import uvloop

PATH = "/reports/v2.1/igrps/{igrp}/triggers/all?format=json&limit=1000&sort[]=rowId-asc&filter[]=rowId-gt-value-0"
JITTER = 0.1


async def poll(client: httpx.AsyncClient, url: str, poll_s: float) -> None:
    """Ask for one source until cancelled."""
    await asyncio.sleep(random.uniform(0, poll_s))
    while True:
        answer = await client.get(url, headers={"authorization": "ApiKey k"})
        answer.raise_for_status()
        _ = answer.content.splitlines()
        await asyncio.sleep(poll_s * (1 + random.uniform(-JITTER, JITTER)))


async def main(base: str, sources: int, poll_s: float) -> None:
    """Ask for all sources until the process is ended."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.TaskGroup() as tasks:
        for igrp in range(1, sources + 1):
            tasks.create_task(poll(client, base + PATH.format(igrp=igrp), poll_s))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))

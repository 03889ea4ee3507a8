"""`python -m tests.clients [NAME …]`: what is written in other languages, one line for each.

These are Svix's clients against a real relay, and the receivers of docs/receiving.md.
"""

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.clients.samples import SAMPLES, try_sample
from tests.fault.api import api
from tests.fault.stage import Stage, stage

HERE = Path(__file__).parent
WITHIN_S = 180.0
"""For one client, with what it has to install."""
SETTINGS = {"RELAY_RETRY_SCHEDULE": "1"}
"""A message that fails is given up after its second attempt."""


class Client(NamedTuple):
    """One client: the program that must be installed, and the commands of its walk."""

    program: str
    folder: str
    commands: tuple[tuple[str, ...], ...]


INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
CLIENTS = {
    "javascript": Client("node", "javascript", (INSTALL, ("node", "walk.mjs", "svix"))),
    "javascript-1": Client("node", "javascript", (INSTALL, ("node", "walk.mjs", "svix-1"))),
    "go": Client("go", "go", (("go", "run", "-mod=readonly", "."),)),
}


def main() -> int:
    """Run the walks and the receivers; 1 when one failed. A language that is not installed is named and left out."""
    names = [*CLIENTS, *SAMPLES]
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description="Svix's clients, and receivers.")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"what to run: {', '.join(names)} (default: all)")
    chosen = parser.parse_args().name or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no such client or receiver: {', '.join(sorted(unknown))}")
    return 1 if asyncio.run(_run(chosen)) else 0


async def _run(chosen: list[str]) -> int:
    """Run the walks on one relay, and the receivers; gives how many failed."""
    failed = 0
    if walks := [name for name in chosen if name in CLIENTS]:
        async with stage(1, settings=SETTINGS) as on, api(on) as http:
            await on.worker()
            for name in walks:
                client = CLIENTS[name]
                failed += await _report(name, client.program, partial(_walk, client, on, str(http.base_url)))
    for name in chosen:
        if name in SAMPLES:
            failed += await _report(name, SAMPLES[name].program, partial(try_sample, SAMPLES[name]))
    return failed


async def _report(name: str, program: str, run: Callable[[], Awaitable[str]]) -> bool:
    """Run one and print what became of it; says whether it failed."""
    if shutil.which(program) is None:
        print(f"{name:<20} left out: {program} is not installed", flush=True)
        return False
    began = time.monotonic()
    complaint = await run()
    print(f"{name:<20} {f'FAILED: {complaint}' if complaint else f'ok, {time.monotonic() - began:.1f} s'}", flush=True)
    return bool(complaint)


async def _walk(client: Client, on: Stage, url: str) -> str:
    """Run the commands of one client; gives what it complained about."""
    env = {**os.environ, "RELAY_URL": url.rstrip("/"), "RELAY_KEY": on.environment["RELAY_ADMIN_KEY"]}
    for command in client.commands:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=HERE / client.folder, env=env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
        except TimeoutError:
            process.kill()
            return f"{' '.join(command)}: no end after {WITHIN_S:g} s"
        if process.returncode:
            return f"{' '.join(command)}: {out.decode(errors='replace')[-4000:]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())

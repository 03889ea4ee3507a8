"""`python -m tests.clients [CLIENT …]`: Svix's clients of other languages against a real relay, one line for each."""

import argparse
import asyncio
import os
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

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
    """Run the walks; 1 when one of them failed. A language that is not installed is named and left out."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description="Svix's clients against a relay.")
    parser.add_argument(
        "client", nargs="*", metavar="CLIENT", help=f"clients to run: {', '.join(CLIENTS)} (default: all)"
    )
    chosen = parser.parse_args().client or [*CLIENTS]
    if unknown := set(chosen) - set(CLIENTS):
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    return 1 if asyncio.run(_run(chosen)) else 0


async def _run(chosen: list[str]) -> int:
    """Run the walks on one relay; gives how many failed."""
    failed = 0
    async with stage(1, settings=SETTINGS) as on, api(on) as http:
        await on.worker()
        for name in chosen:
            began, client = time.monotonic(), CLIENTS[name]
            if shutil.which(client.program) is None:
                print(f"{name:<14} left out: {client.program} is not installed", flush=True)
                continue
            complaint = await _walk(client, on, str(http.base_url))
            failed += bool(complaint)
            verdict = f"FAILED\n{complaint}" if complaint else f"ok, {time.monotonic() - began:.1f} s"
            print(f"{name:<14} {verdict}", flush=True)
    return failed


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

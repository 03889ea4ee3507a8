"""The demo from start to verdict: start, register, watch, tell the upstream to stop, wait until all is quiet, judge."""

import asyncio
import contextlib
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from relay.cli.demo.plan import BROKEN_ROWS, HAZARDS, IGRP, JUDGED, SOURCE, SUBSCRIPTIONS, Plan
from relay.cli.demo.processes import Processes, processes
from relay.cli.demo.registering import Refusal, payload_of, register, stored_events
from relay.cli.demo.table import Screen
from relay.cli.demo.verdict import Event, Received, Verdict, events, expected, readable
from relay.store.embedded import embedded_server

QUIET_S = 3.0
"""So long nothing new must have come before the count: rows behind the cursor are read again every second."""
PATIENCE_S = 60.0
"""After so long without anything new, what has not come is missing."""
PAYLOAD_EVERY_S = 5.0
"""So long a payload stays on the screen: time to read it."""


class Demo:
    """One run."""

    def __init__(self, screen: Screen, *, rate: float, seed: int) -> None:
        self._screen = screen
        self._rate = rate
        self._seed = seed
        self._received = Received()
        self._newest: dict[str, Any] | None = None

    async def run(self, stop: asyncio.Event, *, seconds: float | None) -> Verdict:
        """Run until `stop`, or for so many seconds of rows, then judge. Raises RelayError when a process ends."""
        with _folder() as folder:
            plan = Plan(folder=folder, rate=self._rate, seed=self._seed)
            # The demo is a user of the server too, the last to leave: whatever becomes of the others, it is stopped.
            async with embedded_server(folder / "data"), processes(folder) as children:
                await self._start(children, plan)
                return await children.during(self._play(plan, stop, seconds))

    async def _start(self, children: Processes, plan: Plan) -> None:
        self._screen.say("Starting a sandbox of Infinity, a receiver, the API and a worker …")
        sandbox = ["sandbox", "--port", str(plan.sandbox_port), "--api-key", plan.upstream_key, "--igrp", str(IGRP)]
        sandbox += ["--live", "--rate", str(plan.rate), "--seed", str(plan.seed)]
        sandbox += [word for hazard in HAZARDS for word in ("--hazard", hazard)]
        await children.start("sandbox", *sandbox, env={}, ready=f"{plan.sandbox}/sandbox/state")
        receiver = ["receiver", "--port", str(plan.receiver_port), "--log", str(plan.callbacks), "--quiet"]
        await children.start("receiver", *receiver, env=plan.receiver_secrets, ready=f"{plan.receiver}/state")
        await children.start("API", "serve", env=plan.settings, ready=f"{plan.api}/health/ready")
        worker_ready = f"http://127.0.0.1:{plan.worker_port}/health/ready"
        await children.start("worker", "worker", env=plan.settings, ready=worker_ready)

    async def _play(self, plan: Plan, stop: asyncio.Event, seconds: float | None) -> Verdict:
        headers = {"Authorization": f"Bearer {plan.admin_key}"}
        async with (
            httpx.AsyncClient(base_url=plan.api, headers=headers, trust_env=False, timeout=30) as api,
            httpx.AsyncClient(base_url=plan.sandbox, trust_env=False, timeout=60) as sandbox,
        ):
            await sandbox.post("/sandbox/rows", content=BROKEN_ROWS)
            await register(api, plan)
            self._introduce(plan)
            with plan.callbacks.open("rb") as log:
                await self._watch(log, api, stop, seconds)
                self._screen.say("No more rows. Waiting until every callback has arrived …")
                shown = await self._drained(log, sandbox)
            wanted = expected(_events(shown), JUDGED)
            return Verdict(
                shown=readable(shown),
                stored=await stored_events(api),
                verified=self._received.verified,
                duplicates=self._received.duplicates,
                missing=len(wanted - self._received.callbacks),
            )

    def _introduce(self, plan: Plan) -> None:
        self._screen.say(f"Console   {plan.console}")
        self._screen.say(f"  sign in with the key {plan.admin_key}")
        self._screen.say(f"API docs  {plan.api}/docs   receiver {plan.receiver}/state")
        self._screen.introduce({each.name: each.says for each in SUBSCRIPTIONS})
        self._screen.say("Ctrl-C ends the demo and checks the result. Ctrl-C again ends it at once.")

    async def _watch(self, log: BinaryIO, api: httpx.AsyncClient, stop: asyncio.Event, seconds: float | None) -> None:
        """Show callbacks until `stop`, or for so many seconds, and a payload from time to time."""
        began_at = time.monotonic()
        ends_at = math.inf if seconds is None else began_at + seconds
        payload_at = began_at
        while not stop.is_set() and (now := time.monotonic()) < ends_at:
            self._read(log)
            if self._newest and now >= payload_at:
                await self._show_payload(api, self._newest)
                payload_at = now + PAYLOAD_EVERY_S
            await asyncio.sleep(0.1)

    async def _show_payload(self, api: httpx.AsyncClient, note: dict[str, Any]) -> None:
        # A machine that is too busy to answer now shows the next one.
        with contextlib.suppress(httpx.TransportError, Refusal):
            self._screen.show_payload(note, await payload_of(api, note["webhookId"]))

    def _read(self, log: BinaryIO) -> None:
        """Take in what the receiver has written since."""
        while (line := log.readline()).endswith(b"\n"):
            note = self._received.add(line)
            self._screen.show(note)
            if note["verified"]:
                self._newest = note
        log.seek(-len(line), os.SEEK_CUR)  # A line that is not whole yet.

    async def _drained(self, log: BinaryIO, sandbox: httpx.AsyncClient) -> list[bytes]:
        """Stop the upstream's production and wait until nothing moves; gives the rows that it showed."""
        await sandbox.post("/sandbox/stop")
        before, moved_at = (0, 0, 0), time.monotonic()
        while True:
            self._read(log)
            state = (await sandbox.get("/sandbox/state")).json()
            shown = (await sandbox.get("/sandbox/shown")).content.splitlines()
            missing = len(expected(_events(shown), JUDGED) - self._received.callbacks)
            now = (state["pending"], sum(map(len, shown)), self._received.verified)
            if now != before:
                before, moved_at = now, time.monotonic()
            quiet_s = time.monotonic() - moved_at
            complete = not (missing or state["pending"]) and len(shown) == state["rows"]
            if quiet_s > (QUIET_S if complete else PATIENCE_S):
                return shown
            await asyncio.sleep(0.5)


def _events(shown: list[bytes]) -> list[Event]:
    return events(shown, source=SOURCE, igrp=IGRP)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A place for one run, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="relay-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

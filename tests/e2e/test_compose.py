"""compose.yaml, with processes in place of containers: a newcomer who sets it up with the sandbox sees rows arrive."""

import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from redis.asyncio import Redis

from relay.cli.demo.ports import free_port
from relay.store.embedded import server_binary
from relay.store.needs import unmet_needs
from tests.bench.processes import Child, child, listens
from tests.composing import ROOT, example, read_compose
from tests.fault.stage import until
from tests.meta.test_compose import FILLED
from tests.patience import PATIENCE_S

PORTS = ("6379", "8080", "8081", "9100", "8090", "9000")
HOSTS = re.compile(r"\b(valkey|api|sandbox|receiver)(?=:\d)")
SANDBOX = "172.30.77.0/24"


class Machine:
    """Runs services of the file as processes, each with its own command and environment."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._services = read_compose(example(with_sandbox=True) | FILLED)["services"]
        self.port = {each: str(free_port()) for each in PORTS}
        (folder / "bin").mkdir()
        (folder / "bin/valkey-server").symlink_to(server_binary())
        (folder / "valkey.conf").write_text(self._here((ROOT / "compose/valkey.conf").read_text()))

    async def run(self, service: str, *, port: str | None = None) -> Child:
        """Run a service until the test ends, and wait until it listens at a port of the file."""
        each = self._services[service]
        # The image begins with `relay`.
        first = each.get("entrypoint", [sys.executable, "-m", "relay.cli.main"])
        command = [self._here(part) for part in (*first, *each["command"])]
        command[0] = sys.executable if command[0] == "python" else command[0]
        environment = {name: self._here(value) for name, value in each["environment"].items()}
        # Each container has its own 9100. Of these two processes, only the worker uses it.
        own = (
            {"RELAY_PORT": self.port["8080"], "RELAY_WORKER_PORT": self.port["8081"]}
            if port in ("8080", "8081")
            else {}
        )
        own |= {"RELAY_METRICS_PORT": "0"} if service == "api" else {}
        ready = listens(int(self.port[port])) if port else None
        path = {"PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        running = child(service, *command, folder=self.folder, ready=ready, env=environment | own | path)
        return await self._stack.enter_async_context(running)

    def _here(self, text: str) -> str:
        text = HOSTS.sub("127.0.0.1", text.replace("/etc/valkey", str(self.folder)))
        text = text.replace("/connect_sandbox.py", str(ROOT / "compose/connect_sandbox.py"))
        text = re.sub(r"^dir /data$", f"dir {self.folder}", text, flags=re.M).replace(SANDBOX, "127.0.0.0/8")
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self.port[found[1]], text)


async def test_a_newcomer_sees_rows_flow(short_folder: Path) -> None:
    """Valkey takes the relay's user and nobody else, nothing is amiss with it, and the first rows arrive verified."""
    async with AsyncExitStack() as stack:
        on = Machine(short_folder, stack)
        await on.run("valkey", port="6379")
        url = f"redis://relay:{FILLED['VALKEY_PASSWORD']}@127.0.0.1:{on.port['6379']}/0"
        async with Redis.from_url(url) as redis:
            assert await unmet_needs(redis) == []
            assert (await redis.config_get("appendonly", "maxmemory-policy")) == {
                "appendonly": "yes", "maxmemory-policy": "noeviction",
            }  # fmt: skip
        for service, port in (("sandbox", "8090"), ("receiver", "9000"), ("api", "8080"), ("worker", "8081")):
            await on.run(service, port=port)
        for _ in range(2):
            # A newcomer starts everything twice: what exists is no error.
            assert await (await on.run("connect-sandbox")).process.wait() == 0, _log(on, "connect-sandbox")
        await until(lambda: "webhookId" in _log(on, "receiver"), within_s=2 * PATIENCE_S, what="a callback")
        assert '"verified": false' not in _log(on, "receiver")


def _log(on: Machine, service: str) -> str:
    return (on.folder / f"{service}.log").read_text()

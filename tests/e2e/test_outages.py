"""Redis goes away and comes back: the processes stay, and work again."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.store.connection import connect, ping
from relay.store.embedded import server_binary
from tests.fault.recorder import always
from tests.fault.stage import stage, until


class Server:
    """A server of the test's own, that can be killed and started again on the same files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/own.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        command = [
            server_binary(), "--port", "0", "--unixsocket", f"{self.folder}/own.sock", "--dir", str(self.folder),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def ready(self) -> bool:
        """Whether it answers."""
        redis = connect(self.url)
        try:
            await ping(redis)
        except Exception:  # noqa: BLE001 - it is not there, whatever the reason
            return False
        finally:
            await redis.aclose()
        return True


@contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    """One for as long as the block lasts."""
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def test_a_worker_outlives_its_redis(short_folder: Path) -> None:
    """Redis is killed under load and stays away for three seconds: nothing is lost, and the process is the same one."""
    with own_server(short_folder) as server:
        await until(server.ready, what="the server")
        async with stage(7, settings={"RELAY_REDIS_URL": server.url}) as on:
            await on.endpoint("crm", always(after_s=0.005))
            worker = await on.worker()
            await on.offer_at(100, 2, lambda _: "crm")
            server.kill()
            await on.offer_at(100, 3, lambda _: "crm")
            before = len(on.recorder.arrivals)
            server.start()
            await until(server.ready, what="the server")
            work = "callbacks after the outage"
            await until(lambda: len(on.recorder.arrivals) > before, what=work)
            await on.drained()
            verdict = on.verdict()
            assert (verdict.lost, verdict.renamed, worker.process.returncode) == ([], [], None)
            assert verdict.expected > 400

"""Redis as it is deployed: a master that Sentinels watch over, and a cluster; both from the embedded binary."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.crc import key_slot
from redis.exceptions import RedisError

from relay.cli.demo.ports import free_port
from tests.fault.server import Server, own_server, running
from tests.fault.stage import until

SLOTS = 16_384
MASTER = "relay"
"""The name that the Sentinels know the master by."""
DOWN_AFTER_MS = 400
NODE_TIMEOUT_MS = 800
READY_WITHIN_S = 60.0


class Sentinel(Server):
    """A Sentinel, which keeps its state in its configuration file."""

    def watch(self, master: Server, *, quorum: int) -> None:
        """Write the file."""
        self._file_of_settings.write_text(
            f"bind 127.0.0.1\nport {self.port}\nunixsocket {self.socket}\ndir {self.folder}\n"
            f"logfile {self.folder / 'server.log'}\n{''.join(f'{line}{chr(10)}' for line in self._options)}"
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\nsentinel failover-timeout {MASTER} 3000\n"
        )

    @property
    def _file_of_settings(self) -> Path:
        return self.folder / "sentinel.conf"

    def _command(self) -> list[str]:
        return [self._program, str(self._file_of_settings), "--sentinel"]

    async def _is_ready(self) -> bool:
        with suppress(RedisError, OSError):
            # What it does every two or ten seconds, so that a failover takes one.
            periods = [word for name in ("INFO", "PING", "ASK", "PUBLISH") for word in (f"{name}-PERIOD", 100)]
            return bool(await self.ask("SENTINEL", "DEBUG", *periods))
        return False


class Node(Server):
    """A node of a cluster."""

    def __init__(self, folder: Path, *options: str, program: str | None = None) -> None:
        self.bus = free_port()
        timeout = ("--cluster-node-timeout", str(NODE_TIMEOUT_MS))
        super().__init__(
            folder, *options, "--cluster-enabled", "yes", "--cluster-port", str(self.bus), *timeout, program=program
        )


@dataclass(slots=True)
class Watched:
    """A master and a replica, and the Sentinels that promote it."""

    servers: list[Server]
    sentinels: list[Server]

    @property
    def url(self) -> str:
        """How the relay finds the master."""
        return f"redis+sentinel://{_hosts(self.sentinels)}/{MASTER}"

    async def master(self) -> Server:
        """The server that all Sentinels take for the master; waits until they agree and it is one."""
        found: list[Server] = []

        async def agreed() -> bool:
            said = [await each.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER) for each in self.sentinels]
            found[:] = [each for each in self.servers if {int(port) for _, port in said} == {each.port}]
            return bool(found) and await _role(found[0]) == "master"

        await until(agreed, within_s=READY_WITHIN_S, what="the Sentinels to agree on a master")
        return found[0]

    async def failed_over(self, old: Server) -> Server:
        """The master that takes over from `old`, as soon as all Sentinels know it."""

        async def promoted() -> bool:
            return await self.master() is not old

        await until(promoted, within_s=READY_WITHIN_S, what="the replica to be promoted")
        return await self.master()

    async def hand_over(self) -> tuple[Server, Server]:
        """Have the Sentinels name the replica, while the old master goes on: gives both, the old one first."""
        old = await self.master()
        new = next(each for each in self.servers if each is not old)
        await new.ask("REPLICAOF", "NO", "ONE")
        for each in self.sentinels:
            await each.ask("SENTINEL", "REMOVE", MASTER)
            await each.ask("SENTINEL", "MONITOR", MASTER, "127.0.0.1", new.port, len(self.sentinels) // 2 + 1)
        return old, new

    async def replicated(self) -> None:
        """Wait until the Sentinels could fail over: they know each other, and a replica that has everything."""

        async def known() -> bool:
            for each in self.sentinels:
                state = _pairs(await each.ask("SENTINEL", "MASTER", MASTER))
                replicas = [_pairs(replica) for replica in await each.ask("SENTINEL", "REPLICAS", MASTER)]
                if int(state["num-other-sentinels"]) < len(self.sentinels) - 1 or state["flags"] != "master":
                    return False
                if [(it["flags"], it["master-link-status"]) for it in replicas] != [("slave", "ok")]:
                    return False
            return True

        await until(known, within_s=READY_WITHIN_S, what="the Sentinels to know the replica")


@asynccontextmanager
async def watched(*options: str, sentinels: int = 3, sentinel_lines: Iterable[str] = ()) -> AsyncIterator[Watched]:
    """A master, a replica and Sentinels, for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(own_server(*options))
        follows = ("--replicaof", f"127.0.0.1 {master.port}")
        replica = await stack.enter_async_context(own_server(*options, *follows))
        watching = []
        for _ in range(sentinels):

            def sentinel(*args: Any, **options: Any) -> Sentinel:
                made = Sentinel(*args, **options)
                made.watch(master, quorum=sentinels // 2 + 1)
                return made

            watching.append(await stack.enter_async_context(running(sentinel, *sentinel_lines)))
        on = Watched([master, replica], watching)
        await on.replicated()
        yield on


@dataclass(slots=True)
class Cluster:
    """Primaries that share the slots evenly, and replicas of some of them."""

    primaries: list[Node]
    replicas: list[Node]

    @property
    def url(self) -> str:
        """How the relay finds it."""
        return f"redis+cluster://{_hosts(self.primaries)}"

    @property
    def servers(self) -> list[Node]:
        """All nodes."""
        return [*self.primaries, *self.replicas]

    def owner(self, key: str) -> Server:
        """The primary that had a key at the beginning."""
        return self.primaries[key_slot(key.encode()) * len(self.primaries) // SLOTS]

    async def agreed(self) -> None:
        """Wait until all nodes know each other, and no slot is without one."""

        async def well() -> bool:
            for each in self.servers:
                state = await _state(each)
                if state["cluster_state"] != "ok" or int(state["cluster_known_nodes"]) < len(self.servers):
                    return False
            return True

        await until(well, within_s=READY_WITHIN_S, what="the nodes of the cluster to agree")

    async def taken_over(self, killed: Server) -> None:
        """Wait until others have the slots of a primary that was killed."""
        others = [each for each in self.servers if each is not killed]

        async def taken() -> bool:
            for each in others:
                state = await _state(each)
                masters = {place[2][1] for place in await each.ask("CLUSTER", "SLOTS")}
                if state["cluster_state"] != "ok" or killed.port in masters:
                    return False
            return True

        await until(taken, within_s=READY_WITHIN_S, what="a replica to take over")


@asynccontextmanager
async def cluster(*options: str, primaries: int = 3, replicas_for: Sequence[str] = ()) -> AsyncIterator[Cluster]:
    """A cluster, for as long as the block lasts; with a replica of the primary of each key of `replicas_for`."""
    async with AsyncExitStack() as stack:
        count = primaries + len(replicas_for)
        nodes = [await stack.enter_async_context(running(Node, *options)) for _ in range(count)]
        on = Cluster(nodes[:primaries], nodes[primaries:])
        for number, each in enumerate(on.primaries):
            first, following = (SLOTS * at // primaries for at in (number, number + 1))
            await each.ask("CLUSTER", "ADDSLOTSRANGE", first, following - 1)
        for number, each in enumerate(nodes, 1):
            await each.ask("CLUSTER", "SET-CONFIG-EPOCH", number)
            for other in nodes[: number - 1]:
                await each.ask("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
        await on.agreed()
        for each, key in zip(on.replicas, replicas_for, strict=True):
            await each.ask("CLUSTER", "REPLICATE", (await on.owner(key).ask("CLUSTER", "MYID")).decode())
            await until(_linked(each), within_s=READY_WITHIN_S, what="a replica of the cluster")
        yield on


def _linked(replica: Server) -> Callable[[], Awaitable[bool]]:
    async def linked() -> bool:
        return (await replica.info("replication")).get("master_link_status") == "up"

    return linked


async def _state(node: Server) -> dict[str, str]:
    return dict(line.split(":") for line in (await node.ask("CLUSTER", "INFO")).decode().split())


async def _role(server: Server) -> str:
    with suppress(RedisError, OSError):
        return str((await server.info("replication"))["role"])
    return ""


def _hosts(servers: Iterable[Server]) -> str:
    return ",".join(f"127.0.0.1:{each.port}" for each in servers)


def _pairs(flat: list[bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}

"""A client of the real server whose process dies, or whose connection breaks, between any two commands."""

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from relay.errors import StoreUnavailable
from relay.store.client import StorePipeline, StoreRedis
from relay.store.cluster import ClusterPipeline, ClusterRedis
from relay.store.connection import connect
from relay.store.scripts import script


class Died(BaseException):
    """The process is no more: nothing may catch this, and nothing of it runs on."""


class Faults:
    """When the next fault comes, and of what kind."""

    def __init__(self) -> None:
        self.left: int | None = None
        """How many commands pass until then; None: there is none to come."""
        self.takes_effect = False
        """Whether the command that meets the fault still takes effect."""
        self.kind: type[BaseException] = StoreUnavailable
        self.met = 0
        self.passed = 0
        """How many commands there were."""
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What somebody else does just before that command, which then passes."""
        self.only: str | None = None
        """The name of the script that counts; None: every command does."""

    def after(self, commands: int, *, takes_effect: bool, kind: type[BaseException] = StoreUnavailable) -> None:
        """Let so many commands pass, then fail one. Who has died fails at all that follow too."""
        self.left, self.takes_effect, self.kind, self.met = commands, takes_effect, kind, 0

    def interrupt(self, commands: int, meanwhile: Callable[[], Awaitable[None]], *, only: str | None = None) -> None:
        """Let so many commands, or calls of a script, pass, and have something done before the next one."""
        self.left, self.meanwhile, self.only, self.met = commands, meanwhile, only, 0

    def stop(self) -> None:
        """There is no fault to come any more."""
        self.left = self.meanwhile = self.only = None

    async def strikes(self, *command: object) -> bool:
        """Count a command; True: it is the one that fails."""
        self.passed += 1
        if self.left is None or (self.only is not None and script(self.only).sha not in command):
            return False
        self.left -= 1
        if self.left >= 0:
            return False
        if self.kind is not Died or self.meanwhile is not None:
            self.left = None
        self.met += 1
        if self.meanwhile is None:
            return True
        meanwhile, self.meanwhile = self.meanwhile, None
        await meanwhile()
        return False


class Faulty(Redis):
    """Part of a client with faults. A pipeline counts as one command; one that takes effect may do so in part."""

    faults: Faults

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if not await self.faults.strikes(*args):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if self.faults.takes_effect and self.faults.met == 1:
            await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        raise self.faults.kind("as the test wants it")


class FaultyPart(Pipeline):
    """Part of a pipeline: its commands go together if it is a transaction, else the first half may go alone."""

    faults: Faults

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        if not self.command_stack or not await self.faults.strikes():
            return await super().execute(raise_on_error)
        if self.faults.takes_effect and self.faults.met == 1:
            if not self.is_transaction:
                del self.command_stack[(len(self.command_stack) + 1) // 2 :]
            await super().execute(raise_on_error)
        raise self.faults.kind("as the test wants it")


class FaultyPipeline(FaultyPart, StorePipeline):
    """One of a server."""


class FaultyClusterPipeline(FaultyPart, ClusterPipeline):
    """One of a cluster."""


class FaultyRedis(Faulty, StoreRedis):
    """The client of a server."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipe = FaultyPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.faults = self.faults
        return pipe


class FaultyCluster(Faulty, ClusterRedis):
    """The client of a cluster."""

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipe = FaultyClusterPipeline(self, transaction=transaction)
        pipe.faults = self.faults
        return pipe


def faulty(url: str) -> Faulty:
    """A client that has no fault yet."""
    client = connect(url, server=FaultyRedis, cluster=FaultyCluster)
    assert isinstance(client, Faulty)
    client.faults = Faults()
    return client

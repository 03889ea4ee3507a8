"""The client of one server: its passing faults become StoreUnavailable, whatever command met them."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from relay.store.refusals import PASSING, sorted_out


class StorePipeline(Pipeline):
    """A pipeline whose passing faults are StoreUnavailable."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was gathered."""
        try:
            return await super().execute(raise_on_error)
        except (*PASSING, ResponseError) as error:
            raise sorted_out(error) from error


class StoreRedis(Redis):
    """A client whose passing faults are StoreUnavailable."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (*PASSING, ResponseError) as error:
            raise sorted_out(error) from error

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Gather commands for one round trip."""
        return StorePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

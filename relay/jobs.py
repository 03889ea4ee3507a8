"""arq's part: the queue's name, how jobs are written down, and one function for each job that can be enqueued."""

from collections.abc import Sequence
from typing import Any

import msgspec
from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline

from relay.domain.model import SourceUid
from relay.store.connection import connect_to_one

QUEUE = "relay:{jobs}"
ARQ = "arq:"
"""How arq's own keys begin."""
JOB_EXPIRES_MS = 60_000
"""A job is a wake-up, not the work: one that is not picked up within a minute is not missed."""

to_bytes = msgspec.json.encode
"""Jobs are JSON: arq would use pickle, which runs code from anybody who can write to Redis."""
from_bytes = msgspec.json.decode


class JobsRedis(ArqRedis):
    """arq's client, with all of arq's keys in one slot: its transactions work on a cluster too."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command."""
        return super().execute_command(*tagged(args), **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Gather commands."""
        return JobsPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class JobsPipeline(Pipeline):
    """The same for what is gathered."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Gather one command, or send it, if keys are watched."""
        return super().execute_command(*tagged(args), **options)


def tagged(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A command of arq's with the queue's hash tag in each of arq's keys, which arq gives no way to name."""
    return tuple(
        f"{ARQ}{{jobs}}:{arg[len(ARQ) :]}" if isinstance(arg, str) and arg.startswith(ARQ) else arg for arg in args
    )


def connect_jobs(url: str) -> ArqRedis:
    """arq's own client, for the same server or another one. Its commands raise redis-py's own errors."""
    client = JobsRedis(
        connect_to_one(url, QUEUE),
        job_serializer=to_bytes,
        job_deserializer=from_bytes,
        default_queue_name=QUEUE,
        expires_extra_ms=JOB_EXPIRES_MS,
    )
    # The pool is this client's alone: redis-py would leave its connections open.
    client.auto_close_connection_pool = True
    return client


async def reconcile(jobs: ArqRedis, source: SourceUid, *, tick: int) -> None:
    """Enqueue a turn of a source's reconciliation."""
    await jobs.enqueue_job("reconcile", source, _job_id=f"reconcile:{source}:{tick}")


async def poll(jobs: ArqRedis, sources: Sequence[SourceUid], *, tick: int) -> None:
    """Enqueue poll slices of sources: one job, since a job costs as much as a quiet slice. The id carries the tick."""
    await jobs.enqueue_job("poll", *sources, _job_id=f"poll:{sources[0]}:{tick}")

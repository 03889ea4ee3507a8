"""arq's part: the queue's name, how jobs are written down, and one function for each job that can be enqueued."""

import msgspec
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool

from relay.domain.model import SourceUid
from relay.store.connection import use_own_connections

QUEUE = "relay:jobs"
JOB_EXPIRES_MS = 60_000
"""A job is a wake-up, not the work: one that is not picked up within a minute is not missed."""

to_bytes = msgspec.json.encode
"""Jobs are JSON: arq would use pickle, which runs code from anybody who can write to Redis."""
from_bytes = msgspec.json.decode


def connect_jobs(url: str) -> ArqRedis:
    """arq's own client, for the same server."""
    pool = ConnectionPool.from_url(url, socket_timeout=5.0, socket_connect_timeout=2.0)
    use_own_connections(pool)
    client = ArqRedis(
        pool,
        job_serializer=to_bytes,
        job_deserializer=from_bytes,
        default_queue_name=QUEUE,
        expires_extra_ms=JOB_EXPIRES_MS,
    )
    # The pool is this client's alone: redis-py would leave its connections open.
    client.auto_close_connection_pool = True
    return client


async def poll(jobs: ArqRedis, source: SourceUid, *, tick: int) -> None:
    """Enqueue a poll slice of a source. The id carries the tick, so several workers' ticks make one job of it."""
    await jobs.enqueue_job("poll", source, _job_id=f"poll:{source}:{tick}")

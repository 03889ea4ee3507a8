"""arq's worker, as the relay wants it."""

from typing import Any, cast

from arq.connections import ArqRedis
from arq.worker import Worker, func

from relay.jobs import JOB_EXPIRES_MS, QUEUE, from_bytes, to_bytes
from relay.outbound.reports_api import DEADLINE_S
from relay.pipeline.shifts import OVERTIME_MS, SLICE_MS
from workers.context import MOST_JOBS, Context
from workers.jobs import JOBS

AFTER_THE_LAST_PAGE_S = 30
"""For taking in the page whose request a slice ended with."""
JOB_TIMEOUT_S = (SLICE_MS + OVERTIME_MS) / 1000 + DEADLINE_S + AFTER_THE_LAST_PAGE_S
"""The deadline of a request governs: arq must not cancel a slice that still waits for its page."""
POLL_DELAY_S = 0.5


def worker_settings(context: Context) -> dict[str, Any]:
    """What arq's Worker is made with, but for its connection."""
    functions = [
        func(cast(Any, job), name=name, timeout=JOB_TIMEOUT_S, keep_result=0, max_tries=1) for name, job in JOBS.items()
    ]
    return {
        "functions": functions,
        "queue_name": QUEUE,
        "ctx": {"context": context},
        "max_jobs": MOST_JOBS,
        "poll_delay": POLL_DELAY_S,
        "keep_result": 0,
        "job_timeout": JOB_TIMEOUT_S,
        "expires_extra_ms": JOB_EXPIRES_MS,
        "job_serializer": to_bytes,
        "job_deserializer": from_bytes,
        "handle_signals": False,
        "allow_abort_jobs": False,
        "health_check_interval": 3600,
    }


def make_worker(context: Context, connection: ArqRedis) -> Worker:
    """One arq worker. It ends when Redis goes away; workers.main makes another then."""
    return Worker(redis_pool=connection, **worker_settings(context))

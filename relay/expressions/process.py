"""A process that evaluates expressions: it has nothing to lose, and is killed if an expression takes too much."""

from collections.abc import Callable

import msgspec

from relay.expressions import functions
from relay.expressions.compiling import Cache
from relay.expressions.evaluating import Failure, Limits, evaluate
from relay.processes import child
from relay.processes.limits import limit_cpu, limit_process

MEMORY_BYTES = 192 << 20
"""In addition to what the interpreter has taken at the start. Data and a result of the largest size need 60 MB."""


class Job(msgspec.Struct, array_like=True):
    """The expressions of one delivery."""

    expressions: dict[str, str]
    data: bytes
    bindings: dict[str, bytes]
    limits: Limits


class Answer(msgspec.Struct, array_like=True):
    """Their results, or why there are none."""

    results: dict[str, bytes | None]
    failure: Failure | None = None

    @property
    def reached_limit(self) -> bool:
        """Whether an expression took all that it may."""
        return self.failure is not None and self.failure.kind != "failed"


encode = msgspec.msgpack.Encoder().encode
read_jobs: Callable[[bytes], list[Job]] = msgspec.msgpack.Decoder(list[Job]).decode
read_answers: Callable[[bytes], list[Answer]] = msgspec.msgpack.Decoder(list[Answer]).decode
_cache = Cache()


def answer(packed: bytes) -> bytes:
    """Do some jobs."""
    return encode([_answer(job) for job in read_jobs(packed)])


def _answer(job: Job) -> Answer:
    """Do a job. If it takes three times the CPU time that its expressions may, SIGPROF ends the process."""
    limit_cpu(3 * job.limits.cpu_s * len(job.expressions) + 0.05)
    try:
        results = evaluate(_cache, job.expressions, job.data, job.bindings, job.limits)
    finally:
        limit_cpu(0)
    return Answer({}, results) if isinstance(results, Failure) else Answer(results)


def main() -> None:
    """Answer until the socket is closed."""
    functions.load()
    _answer(Job({"first": "$string(a)"}, b'{"a":1}', {}, Limits(1000, 1.0)))
    limit_process(memory_bytes=MEMORY_BYTES)
    child.run(answer)


if __name__ == "__main__":
    main()

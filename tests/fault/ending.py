"""How a run ends: when it is quiet, what is left, and what came of everything that the upstream showed."""

from collections import Counter
from contextlib import suppress
from time import monotonic

from relay.domain.model import SourceUid
from relay.errors import StoreUnavailable
from relay.store import keys
from relay.store.undelivered import Dead
from tests.fault.case import Finding
from tests.fault.stage import Stage, TooLate, until


async def ended(on: Stage, *, limit_s: float, duplicates: int) -> list[Finding]:
    """Wait until all is quiet, and compare. What never becomes quiet is compared as it is."""
    quiet = await quiet_s(on, within_s=limit_s)
    left = await on.outstanding()
    broken = [worker for worker in on.workers if worker.process.returncode is not None]
    return [
        Finding("until all is quiet", quiet, "<=", limit_s, "s"),
        Finding("deliveries outstanding then", left, "==", 0),
        Finding(
            "counts that do not fit that", await _off(on), "==", 0, "", "deliveries of a bucket, bytes of an endpoint"
        ),
        *await _given_up(on),
        *compared(on, duplicates=duplicates),
        Finding("workers that ended by themselves", len(broken), "==", 0),
    ]


async def quiet_s(on: Stage, *, within_s: float) -> float:
    """The seconds until every row is taken in and every delivery has ended; more than `within_s`: they have not."""

    async def is_quiet() -> bool:
        with suppress(StoreUnavailable):
            return await on.is_taken_in() and await on.outstanding() == 0
        return False

    began = monotonic()
    with suppress(TooLate):
        await until(is_quiet, within_s=within_s, what="all to be quiet", every_s=0.2)
    return monotonic() - began


def compared(on: Stage, *, duplicates: int) -> list[Finding]:
    """What was shown against what arrived."""
    verdict = on.verdict()
    lost = f"of {verdict.expected}" + (f", such as {verdict.lost[:3]}" if verdict.lost else "")
    return [
        Finding("lost", len(verdict.lost), "==", 0, "", lost),
        Finding("duplicates", verdict.duplicates, "<=", duplicates),
        Finding("deliveries under more than one webhook-id", len(verdict.renamed), "==", 0),
        Finding("callbacks that nobody asked for", len(verdict.unasked), "==", 0),
    ]


async def _off(on: Stage) -> int:
    """How many counts are not 0, although nothing is outstanding: of deliveries by bucket, of bytes by endpoint."""
    async with on.stores.redis.pipeline(transaction=False) as pipe:
        for uid in on.upstreams:
            pipe.hvals(keys.references(uid))
            pipe.hvals(f"{keys.prefix(uid)}owed")
        return sum(int(count) != 0 for counts in await pipe.execute() for count in counts)


async def _given_up(on: Stage) -> list[Finding]:
    dead = [each for uid in on.upstreams for each in await _dead(on, uid)]
    reasons = ", ".join(f"{count} × {reason}" for reason, count in Counter(each.reason for each in dead).items())
    return [Finding("deliveries given up", len(dead), "==", 0, "", reasons)]


async def _dead(on: Stage, uid: SourceUid) -> list[Dead]:
    return await on.stores.undelivered.dead(uid, limit=100_000)

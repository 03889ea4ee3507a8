"""The evaluator of a worker or an API: it has expressions evaluated in processes that are limited and expendable.

There are two processes, each started when it is first needed. The *quick* one evaluates only expressions that were
quick the last time. The *slow* one evaluates all others: first those that are new, then those that took long. So an
expression that takes all that it may, or ends its process, holds up only others of its kind.
"""

import asyncio
from collections.abc import Mapping

from relay.errors import EvaluatorUnavailable, ExpressionFailed
from relay.expressions.evaluating import TOO_LARGE, TOO_SLOW, Limits
from relay.expressions.lanes import Lane
from relay.expressions.owners import Owner, Owners
from relay.expressions.process import Answer, Job
from relay.processes.pool import ProcessFailed

BRIEF = Limits(steps=20_000, cpu_s=0.005)
"""Within these, an expression is quick. Typical ones take 100 steps and 50 µs."""
MOST_BRIEF_BYTES = 1 << 18
"""Larger data takes too long to be read, whatever the expression is: the slow lane evaluates it."""
FULL = Limits(steps=500_000, cpu_s=0.1)
"""What an expression may take at most."""
AT_ONCE = 16
MOST_WAITING = 4096
MOST_WAITING_OF_OWNER = 512
LONGEST_WAIT_S = 20.0
"""How long expressions wait and are evaluated together, as long as an attempt may take."""
LATER_S = 30.0
"""The longest time after which a caller is told to ask again: the expressions may have been changed by then."""
SHARE_OF_LIMITS = 0.1
"""Of a core, for evaluations in the slow lane that reach a limit."""
RESTS = "the expressions took too much time or memory again and again, so they are evaluated less often"
MOST_DEATHS = 2
Results = dict[str, bytes | None]


class Evaluator:
    """Evaluates expressions."""

    def __init__(self) -> None:
        self._quick = Lane("quick", background=False, at_once=AT_ONCE)
        self._slow = Lane("slow", background=True, at_once=1, share=SHARE_OF_LIMITS)
        self._owners: Owners | None = None
        self._inside = 0

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        return sorted(self._quick.processes.pids + self._slow.processes.pids)

    async def evaluate(
        self, owner: str, expressions: Mapping[str, str], data: bytes, bindings: Mapping[str, bytes]
    ) -> Results:
        """The result of each expression as JSON in UTF-8, None for null and for nothing.

        `owner`: whom the expressions belong to, such as an endpoint. Owners take turns, and one who is slow waits.
        `expressions`: by a name, such as `transformation`, which an error then bears.
        `data`: the JSON that expressions are evaluated against. `bindings`: the JSON of variables, without `$`.

        Raises ExpressionFailed if an expression has no result for this data, and EvaluatorUnavailable if this process
        or the machine is at fault, or if the expressions rest, because they took too much again and again: a later
        call can succeed.
        """
        self._owners = self._owners or Owners(asyncio.get_running_loop().time)
        its = self._owners.get(owner)
        if self._inside >= MOST_WAITING or its.inside >= MOST_WAITING_OF_OWNER:
            raise EvaluatorUnavailable("too many expressions wait to be evaluated")
        self._inside += 1
        its.inside += 1
        try:
            async with asyncio.timeout(LONGEST_WAIT_S), its.turns:
                return await self._evaluate(its, Job(dict(expressions), data, dict(bindings), BRIEF))
        except TimeoutError:
            raise EvaluatorUnavailable("the expressions waited too long to be evaluated") from None
        finally:
            self._inside -= 1
            its.inside -= 1

    async def aclose(self) -> None:
        """End the processes now. What is being evaluated raises EvaluatorUnavailable."""
        for lane in (self._quick, self._slow):
            await lane.processes.aclose()

    async def _evaluate(self, owner: Owner, job: Job) -> Results:
        which, clock = hash(tuple(job.expressions.items())), asyncio.get_running_loop().time
        brief = len(job.data) <= MOST_BRIEF_BYTES
        if brief and owner.is_quick(which, clock()):
            results = await self._evaluate_briefly(self._quick, owner, job, which)
            if results is not None:
                return results
        if (rest_s := owner.rests_s(which, clock())) > 0:
            raise EvaluatorUnavailable(RESTS, wait_s=min(rest_s, LATER_S))
        return await self._evaluate_in_turn(owner, job, which, is_brief=brief)

    async def _evaluate_in_turn(self, owner: Owner, job: Job, which: int, *, is_brief: bool) -> Results:
        clock = asyncio.get_running_loop().time
        async with owner.slow_turn:
            if (rest_s := owner.rests_s(which, clock())) > 0:
                raise EvaluatorUnavailable(RESTS, wait_s=min(rest_s, LATER_S))
            if is_brief and not owner.is_slow(clock()):
                lane = self._quick if owner.is_quick(which, clock()) else self._slow
                results = await self._evaluate_briefly(lane, owner, job, which)
                if results is not None:
                    return results
            if self._slow.is_crowded:
                # Each delivery that waits holds a slot of the worker (RELAY_DISPATCH_SLOTS).
                raise EvaluatorUnavailable("too many slow expressions wait to be evaluated")
            try:
                results = await self._evaluate_slowly(owner, job)
            except ExpressionFailed as failed:
                if failed.kind == "failed":
                    owner.kept_limits(which)
                else:
                    owner.reached_limit(which, clock())
                raise
            owner.kept_limits(which)
            return results

    async def _evaluate_briefly(self, lane: Lane, owner: Owner, job: Job, which: int) -> Results | None:
        """Within the limits of the quick lane; None if they are not enough. The owner is slow from then on."""
        now = asyncio.get_running_loop().time
        try:
            answer = await lane.ask(job)
        except ProcessFailed as error:
            if error.signal is None:
                raise EvaluatorUnavailable(f"a process failed: {error}") from None
        else:
            if answer.failure is None or answer.failure.kind == "failed":
                owner.was_quick(which, now())
                return _results(answer)
        owner.was_slow(now())
        return None

    async def _evaluate_slowly(self, owner: Owner, job: Job) -> Results:
        """Within the full limits, one expression after the other: if the process dies, it is known of which."""
        results: Results = {}
        for name, expression in job.expressions.items():
            alone = Job({name: expression}, job.data, job.bindings, FULL)
            try:
                results |= _results(await self._slow.ask(alone, urgent=False))
            except ProcessFailed as error:
                raise _failed(owner, name, error) from None
        owner.deaths = 0
        return results


def _results(answer: Answer) -> Results:
    if answer.failure is not None:
        raise answer.failure.raised()
    return answer.results


def _failed(owner: Owner, name: str, error: ProcessFailed) -> ExpressionFailed | EvaluatorUnavailable:
    """Whose fault it is that a process failed: the expression's, if it reached a limit or did it again."""
    if error.reached_limit:
        if error.took_memory:
            return ExpressionFailed(name, TOO_LARGE, None, "too_large")
        return ExpressionFailed(name, TOO_SLOW, None, "too_slow")
    if error.signal is not None:
        owner.deaths += 1
        if owner.deaths >= MOST_DEATHS:
            owner.deaths = 0
            return ExpressionFailed(name, f"The evaluation ended its process twice: {error}", None, "failed")
    return EvaluatorUnavailable(f"a process failed: {error}")

"""The evaluator: real processes, with hostile expressions and good ones."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from relay.errors import EvaluatorUnavailable, ExpressionFailed
from relay.expressions import evaluator as evaluator_module
from relay.expressions import lanes as lanes_module
from relay.expressions import owners as owners_module
from relay.expressions.evaluator import Evaluator
from relay.expressions.lanes import Lane
from relay.processes import pool
from relay.processes.background import NICER_BY
from tests.fakes.hostile_expressions import HOSTILE
from tests.integration.pipeline.rig import until
from tests.integration.pipeline.test_judging_pool import is_running
from tests.patience import PATIENCE_S

GOOD = '{"to": $e164(n, "GB"), "time": $duration(s, "HH:MM")}'
DATA = b'{"n": "07700 900123", "s": 84, "deep": ' + b"[" * 100 + b"]" * 100 + b"}"
RIGHT = b'{"to":"+447700900123","time":"00:01"}'


@asynccontextmanager
async def evaluator() -> AsyncIterator[Evaluator]:
    """One whose processes are gone afterwards."""
    some = Evaluator()
    try:
        yield some
    finally:
        pids = some.pids
        await some.aclose()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "a process or a zombie is left"


async def quick(some: Evaluator, owner: str = "good") -> None:
    """Have the owner's expression shown to be quick, with both processes running."""
    for _ in range(2):
        assert await some.evaluate(owner, {"t": GOOD}, DATA, {}) == {"t": RIGHT}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="some")
async def _some() -> AsyncIterator[Evaluator]:
    async with evaluator() as some:
        some._slow._share = 1.0  # So that it never rests.
        yield some


async def test_all_expressions_of_a_delivery_are_evaluated_at_once() -> None:
    """Results are JSON; null and nothing are None; bindings are variables."""
    expressions = {"body": '{"id": $found.id, "s": s, "none": x}', "url": '"/calls/" & n', "null": "null", "none": "x"}
    async with evaluator() as some:
        for _ in range(2):
            assert await some.evaluate("e", expressions, b'{"n": "7", "s": 84}', {"found": b'{"id": 501}'}) == {
                "body": b'{"id":501,"s":84}',
                "url": b'"/calls/7"',
                "null": None,
                "none": None,
            }


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("expression", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_expression_ends_with_an_error(some: Evaluator, expression: str) -> None:
    """Whatever it tries: the error names it, says that it takes too much, and the next one is evaluated."""
    with pytest.raises(ExpressionFailed) as caught:
        await some.evaluate(expression, {"good": GOOD, "t": expression}, DATA, {})
    assert (caught.value.name, caught.value.kind in ("too_slow", "too_large")) == ("t", True)
    assert await some.evaluate("another", {"t": GOOD}, DATA, {}) == {"t": RIGHT}


async def test_good_expressions_do_not_wait_for_hostile_ones() -> None:
    """A hundred hostile ones at once: all that is good is evaluated before the first few of them have ended."""
    async with evaluator() as some:
        await quick(some)
        ended = 0

        async def attack(number: int) -> None:
            nonlocal ended
            expression = list(HOSTILE.values())[number % len(HOSTILE)]
            with pytest.raises(ExpressionFailed):
                await some.evaluate(f"bad {number}", {"t": expression}, DATA, {})
            ended += 1

        (quick_pid,) = some._quick.processes.pids
        attacks = [asyncio.create_task(attack(number)) for number in range(100)]
        await asyncio.sleep(0)
        for _ in range(50):
            assert await some.evaluate("good", {"t": GOOD}, DATA, {}) == {"t": RIGHT}
        assert ended < 50
        assert some._quick.processes.pids == [quick_pid]
        for task in attacks:
            task.cancel()
        await asyncio.wait(attacks)


async def test_what_reaches_a_limit_again_and_again_rests() -> None:
    """It is refused at once, and holds nothing up. Other expressions of its owner are evaluated, corrected ones too."""
    async with evaluator() as some:
        some._slow._share = 1.0
        for _ in range(2):
            with pytest.raises(ExpressionFailed):
                await some.evaluate("bad", {"t": HOSTILE["tail recursion"]}, DATA, {})
        os.kill(some._slow.processes.pids[0], signal.SIGSTOP)  # It is not asked.
        with pytest.raises(EvaluatorUnavailable, match="less often") as refused:
            await some.evaluate("bad", {"t": HOSTILE["tail recursion"]}, DATA, {})
        os.kill(some._slow.processes.pids[0], signal.SIGCONT)
        assert 0 < refused.value.wait_s <= 2.0
        assert await some.evaluate("bad", {"t": GOOD}, DATA, {}) == {"t": RIGHT}


async def test_new_expressions_do_not_wait_while_the_slow_lane_rests() -> None:
    """It rests after an evaluation that took all that it may; another one that is known to be slow waits."""
    async with evaluator() as some:
        some._slow._share = 1e-6
        with pytest.raises(ExpressionFailed):
            await some.evaluate("bad", {"t": HOSTILE["tail recursion"]}, DATA, {})
        waits = asyncio.create_task(some.evaluate("worse", {"t": HOSTILE["mutual recursion"]}, DATA, {}))
        assert await some.evaluate("new", {"t": GOOD}, DATA, {}) == {"t": RIGHT}
        await until(lambda: len(some._slow._others) == 1)
        assert await some.evaluate("newer", {"t": GOOD}, DATA, {}) == {"t": RIGHT}
        assert not waits.done()
        waits.cancel()
        await asyncio.wait([waits])


async def test_few_wait_while_the_slow_lane_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a slot of its worker: the others are told to come again."""
    monkeypatch.setattr(lanes_module, "MOST_WHILE_RESTING", 2)
    async with evaluator() as some:
        some._slow._share = 1e-6
        with pytest.raises(ExpressionFailed):
            await some.evaluate("bad", {"t": HOSTILE["tail recursion"]}, DATA, {})
        expression = HOSTILE["tail recursion"]
        waiting = [asyncio.create_task(some.evaluate(f"bad {n}", {"t": expression}, DATA, {})) for n in range(5)]
        await until(lambda: sum(each.done() for each in waiting) == 3)
        assert [type(each.exception()) for each in waiting if each.done()] == [EvaluatorUnavailable] * 3
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_an_owner_that_was_quick_and_becomes_slow_leaves_the_quick_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The data decides how long it takes: it is slow for a while, and then may show that it is quick again."""
    expression = "$count(n = 0 ? [] : $map([1..n], function($i) { [1..n] ~> $sum() }))"
    async with evaluator() as some:
        await quick(some)
        for _ in range(2):
            await some.evaluate("moody", {"t": expression}, b'{"n": 0}', {})
        owner = some._owners.get("moody") if some._owners else None
        assert owner is not None
        assert owner._quick
        with pytest.raises(ExpressionFailed):
            await some.evaluate("moody", {"t": expression}, b'{"n": 9000}', {})
        assert not owner._quick
        assert owner.is_slow(asyncio.get_running_loop().time())
        asked: list[str] = []
        for lane in (some._quick, some._slow):
            monkeypatch.setattr(lane, "ask", _noting(lane, asked))
        await some.evaluate("moody", {"t": expression}, b'{"n": 0}', {})
        monkeypatch.setattr(owner, "slow_until", 0.0)
        for _ in range(2):
            await some.evaluate("moody", {"t": expression}, b'{"n": 0}', {})
        assert asked == ["slow", "slow", "quick"]


def _noting(lane: Lane, asked: list[str]):  # type: ignore[no-untyped-def]
    ask, name = lane.ask, "slow" if lane.processes._work.arguments else "quick"

    async def noted(*args: object, **options: object) -> object:
        asked.append(name)
        return await ask(*args, **options)  # type: ignore[arg-type]

    return noted


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_process_that_dies_fails_nothing_the_first_time(sent: signal.Signals) -> None:
    """Killed while it works: the expression is evaluated by the next process. Twice: it is called the cause."""
    async with evaluator() as some:
        await quick(some)
        (pid,) = some._quick.processes.pids
        os.kill(pid, signal.SIGSTOP)
        working = asyncio.create_task(some.evaluate("good", {"t": GOOD}, DATA, {}))
        await asyncio.sleep(0.02)
        os.kill(pid, sent)
        os.kill(pid, signal.SIGCONT)
        assert await working == {"t": RIGHT}


async def test_a_process_that_is_stuck_is_the_fault_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets no CPU time: the expression has not failed, and the process is replaced."""
    async with evaluator() as some:
        await quick(some)
        (pid,) = some._quick.processes.pids
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(pool, "ANSWER_WITHIN_S", 0.2)
        with pytest.raises(EvaluatorUnavailable):
            await some.evaluate("good", {"t": GOOD}, DATA, {})
        monkeypatch.undo()
        async with asyncio.timeout(PATIENCE_S):
            assert await some.evaluate("good", {"t": GOOD}, DATA, {}) == {"t": RIGHT}
        await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_queues_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner with too much work at once is turned away, and no one else."""
    monkeypatch.setattr(evaluator_module, "MOST_WAITING_OF_OWNER", 3)
    async with evaluator() as some:
        await quick(some)
        several = [asyncio.create_task(some.evaluate("busy", {"t": GOOD}, DATA, {})) for _ in range(5)]
        assert await some.evaluate("good", {"t": GOOD}, DATA, {}) == {"t": RIGHT}
        ended = await asyncio.gather(*several, return_exceptions=True)
        assert [isinstance(each, EvaluatorUnavailable) for each in ended] == [False] * 3 + [True] * 2
        monkeypatch.setattr(owners_module, "MOST_OWNERS", 2)
        for name in "abcdef":
            await some.evaluate(name, {"t": GOOD}, DATA, {})
        assert some._owners is not None
        assert len(some._owners._owners) <= 4


async def test_closing_ends_what_is_being_evaluated() -> None:
    """The worker is told to end: nothing hangs, and what was not evaluated has not failed."""
    async with evaluator() as some:
        await quick(some)
        for pid in some.pids:
            os.kill(pid, signal.SIGSTOP)
        tasks = [asyncio.create_task(some.evaluate(f"e{n}", {"t": GOOD}, DATA, {})) for n in range(5)]
        tasks.append(asyncio.create_task(some.evaluate("good", {"t": GOOD}, DATA, {})))
        await asyncio.sleep(0.02)
        await some.aclose()
        async with asyncio.timeout(PATIENCE_S):
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in ended} == {EvaluatorUnavailable}


async def test_of_jobs_that_were_handed_over_together_only_the_guilty_one_fails() -> None:
    """One of several ends the process in the quick lane: the others are evaluated all the same."""
    expression = "$count(n = 0 ? [] : [1..9999999])"
    async with evaluator() as some:
        await quick(some)
        for number in range(6):
            for _ in range(2):
                await some.evaluate(f"e{number}", {"t": expression}, b'{"n": 0}', {})
        (pid,) = some._quick.processes.pids
        data = [b'{"n": %d}' % (number == 3) for number in range(6)]
        ended = await asyncio.gather(
            *(some.evaluate(f"e{number}", {"t": expression}, data[number], {}) for number in range(6)),
            return_exceptions=True,
        )
        assert [type(each) for each in ended] == [dict, dict, dict, ExpressionFailed, dict, dict]
        await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_large_data_is_not_held_against_its_expression() -> None:
    """To read it takes longer than a brief evaluation may: the slow lane does it, and the owner stays quick."""
    async with evaluator() as some:
        await quick(some)
        data = b"[" + b",".join([b'{"a":"%s"}' % (b"x" * 80)] * 60_000) + b"]"
        pids = some.pids
        assert await some.evaluate("good", {"t": "$count($)"}, data, {}) == {"t": b"60000"}
        assert await some.evaluate("good", {"t": GOOD}, DATA, {}) == {"t": RIGHT}
        assert some.pids == pids
        with pytest.raises(ExpressionFailed, match="more than"):
            await some.evaluate("good", {"t": "$count($)"}, data + b" " * (8 << 20), {})


async def test_one_endpoint_alone_uses_the_whole_lane() -> None:
    """Several of its deliveries are evaluated at once, and each gets its own result."""
    async with evaluator() as some:
        await quick(some)
        data = [b'{"s": %d}' % number for number in range(300)]
        results = await asyncio.gather(*(some.evaluate("good", {"t": "s"}, each, {}) for each in data[:1]))
        results += await asyncio.gather(*(some.evaluate("good", {"t": "s"}, each, {}) for each in data[1:]))
        assert [each["t"] for each in results] == [b"%d" % number for number in range(300)]


def test_processes_end_when_their_worker_is_killed() -> None:
    """While one evaluates something that takes all the time that it may."""
    program = (
        "import asyncio\n"
        "from relay.expressions.evaluator import Evaluator\n"
        "from tests.fakes.hostile_expressions import HOSTILE\n"
        "async def main():\n"
        "    some = Evaluator()\n"
        "    for n in (1, 2): await some.evaluate('a', {'t': 'a'}, b'{}', {})\n"
        "    task = asyncio.create_task(some.evaluate('b', {'t': HOSTILE['match']}, b'{}', {}))\n"
        "    await asyncio.sleep(0.01)\n"
        "    print(*some.pids, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        line = next(line for line in worker.stdout if line.replace(" ", "").strip().isdigit())
        pids = [int(pid) for pid in line.split()]
        assert len(pids) == 2
        worker.kill()
    deadline = time.monotonic() + PATIENCE_S
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))


async def test_a_cancelled_delivery_does_not_leave_its_answer_to_the_next() -> None:
    """The next one gets its own result."""
    async with evaluator() as some:
        await quick(some)
        working = asyncio.create_task(some.evaluate("good", {"t": GOOD}, DATA, {}))
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait([working])
        assert await some.evaluate("good", {"t": "s"}, DATA, {}) == {"t": b"84"}


async def test_a_process_cannot_open_files_or_take_memory() -> None:
    """Its limits, as the kernel shows them; and no settings of the worker."""
    async with evaluator() as some:
        await quick(some)
        for pid in some.pids:
            limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
            most = {line[:26].strip(): line[26:].split()[0] for line in limits}
            assert most["Max open files"] == "3"
            assert most["Max file size"] == most["Max core file size"] == most["Max processes"] == "0"
            assert int(most["Max address space"]) < 300 << 20
            assert b"RELAY_" not in Path(f"/proc/{pid}/environ").read_bytes()
            status = Path(f"/proc/{pid}/status").read_text()
            assert int(status.split("VmHWM:")[1].split()[0]) < 60_000
        (slow,) = some._slow.processes.pids
        assert os.getpriority(os.PRIO_PROCESS, slow) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICER_BY)


async def test_a_busy_machine_fails_no_good_expression() -> None:
    """The process gets almost no CPU time: what it may use is CPU time, and not the time that passes."""
    async with evaluator() as some:
        await quick(some)
        stop, pids = time.monotonic() + 0.5, some.pids

        async def starve() -> None:
            while time.monotonic() < stop:
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(0.03)
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(0.001)

        starving = asyncio.create_task(starve())
        while not starving.done():
            assert await some.evaluate("good", {"t": GOOD}, DATA, {}) == {"t": RIGHT}
        assert some.pids == pids

"""What transformations cost a delivery, and what a hundred hostile ones cost the others."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import msgspec
from pyreqwest.client import ClientBuilder

from relay.expressions.compiling import Cache
from relay.expressions.evaluating import Failure, evaluate
from relay.expressions.evaluator import BRIEF, Evaluator
from tests.bench.attacking import attacked
from tests.bench.bench import Bench
from tests.bench.driving import HEADERS, drive
from tests.bench.figures import Figure
from tests.bench.measuring import cpu_s, percentile
from tests.bench.transformed import dispatched

PART = "transforming"
TEXT = "a HubSpot call is made of each event of 2.2 kB, by itself, with a bare client, and in a real worker"
COUNT = 10_000
ENDPOINTS = 50
EXPRESSION = """(
  $t := data.trigger;
  {
    "rowId": $t.rowId,
    "properties": {
      "hs_timestamp": $t.triggerDatetime,
      "hs_call_duration": $string($t.bridgeDuration * 1000),
      "hs_call_direction": $t.callDirection = "in" ? "INBOUND" : "OUTBOUND",
      "hs_call_status": $t.callStage = "bridge" or $t.bridgeDuration > 0 ? "COMPLETED" : "NO_ANSWER",
      "hs_call_from_number": $e164($t.srcPhoneNumber, "GB"),
      "hs_call_to_number": $e164($t.dialledPhoneNumber, "GB"),
      "hs_call_body": $join([$t.campaign, $t.term], ", ")
    },
    "associations": []
  }
)"""
TRIGGER = {
    "rowId": "141248745", "act": "call", "callDirection": "in", "callStage": "bridge", "callDuration": 97,
    "bridgeDuration": 84, "srcPhoneNumber": "07700 900123", "dialledPhoneNumber": "+442079460018", "campaign": "spring",
    "term": "boiler", "triggerDatetime": "2026-11-20T14:05:09.000Z", **{f"c_{n}": "x" * 25 for n in range(50)},
}  # fmt: skip
EVENTS = [
    msgspec.json.encode(
        {"type": "call.created", "data": {"igrp": 1234, "trigger": TRIGGER | {"srcPhoneNumber": f"07700 9{n:05}"}}}
    )
    for n in range(20_000)
]
"""As many callers as calls, so that no number is known already."""
Send = Callable[[bytes], Awaitable[None]]


async def run(bench: Bench) -> None:
    """Bare evaluation first, then the evaluator, then deliveries with and without it, then workers, then the attack."""
    bench.report.begin(PART, TEXT)
    bench.report.add(Figure(PART, "an evaluation in place", [_in_place(bench) for _ in range(bench.runs)], "us of CPU"))
    async with _evaluator() as evaluator:
        await _evaluated(bench, evaluator)
        await _delivered(bench, evaluator)
    await dispatched(bench, PART, EXPRESSION)
    await attacked(bench, PART, EXPRESSION)


@asynccontextmanager
async def _evaluator() -> AsyncIterator[Evaluator]:
    evaluator = Evaluator()
    for number in (*range(ENDPOINTS), 0):
        await _transformed(evaluator, number)
    try:
        yield evaluator
    finally:
        await evaluator.aclose()


async def _transformed(evaluator: Evaluator, number: int) -> bytes:
    """The body of an event, for one of the endpoints in turn."""
    event = EVENTS[number % len(EVENTS)]
    results = await evaluator.evaluate(f"good {number % ENDPOINTS}", {"transformation": EXPRESSION}, event, {})
    return results["transformation"] or b""


def _in_place(bench: Bench) -> float:
    cache, turns = Cache(), bench.size(COUNT)
    began = time.process_time()
    for number in range(turns):
        event = EVENTS[number % len(EVENTS)]
        assert not isinstance(evaluate(cache, {"transformation": EXPRESSION}, event, {}, BRIEF), Failure)
    return (time.process_time() - began) / turns * 1e6


async def _evaluated(bench: Bench, evaluator: Evaluator) -> None:
    """What the evaluator reaches, with 64 evaluations under way, and what each takes in this process and its own."""
    own, theirs, rates, numbers = list[float](), list[float](), list[float](), count()
    turns = bench.size(COUNT)

    async def one() -> None:
        await _transformed(evaluator, next(numbers))

    for _ in range(bench.runs):
        before = sum(map(cpu_s, evaluator.pids))
        pace = await drive(one, turns)
        theirs.append((sum(map(cpu_s, evaluator.pids)) - before) / turns * 1e6)
        own.append(pace.cpu_us)
        rates.append(pace.per_s)
    bench.report.add(Figure(PART, "evaluations in processes", rates, "/s"))
    bench.report.add(Figure(PART, "each, in the worker", own, "us of CPU"))
    bench.report.add(Figure(PART, "each, in the process", theirs, "us of CPU"))


async def _delivered(bench: Bench, evaluator: Evaluator) -> None:
    """The same deliveries with and without a transformation; the body without is as large as the one with."""
    send, numbers, turns = _sender(bench.sink.url), count(), bench.size(COUNT)
    body = await _transformed(evaluator, 0)

    async def transformed() -> None:
        await send(await _transformed(evaluator, next(numbers)))

    without, with_it = list[float](), list[float]()
    for _ in range(bench.runs):
        without.append((await drive(lambda: send(body), turns)).per_s)
        with_it.append((await drive(transformed, turns)).per_s)
    ratio = percentile([a / b for a, b in zip(with_it, without, strict=True)], 0.5)
    bench.report.add(Figure(PART, "deliveries without", without, "/s"))
    bench.report.add(Figure(PART, "with a transformation", with_it, "/s", ratio=ratio, baseline="without"))


def _sender(url: str) -> Send:
    client = ClientBuilder().no_proxy().follow_redirects(False).build()

    async def send(body: bytes) -> None:
        response = await client.post(url).headers(HEADERS).body_bytes(body).build().send()
        assert response.status == 204

    return send

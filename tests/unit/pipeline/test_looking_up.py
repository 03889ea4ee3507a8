"""A lookup that attempts share: it goes on when one of them is given up, and fails without a trace when all are."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from relay.domain.requests.model import PLAIN, Lookup
from relay.errors import StoreUnavailable
from relay.pipeline.dispatch.looking_up import KEY, LookingUp
from tests.unit.domain.test_matching import endpoint


async def test_a_lookup_that_fails_when_nobody_waits_is_no_error_of_the_loop() -> None:
    """Attempts are given up at their deadline, or when the worker ends. Redis may go away at the same time."""
    asked, answers = asyncio.Event(), asyncio.Event()

    async def evaluate(*_: Any) -> dict[str, bytes]:
        return {KEY: b'"+44"'}

    async def take(*_: Any) -> Any:
        asked.set()
        await answers.wait()
        raise StoreUnavailable("Redis can't be reached")

    parts: dict[str, Any] = {
        "catalogue": SimpleNamespace(lookup_bounds=lambda _: SimpleNamespace(are_any=True)),
        "evaluator": SimpleNamespace(evaluate=evaluate),
        "rates": SimpleNamespace(take=take),
        "sender": None,
        "clock": None,
    }
    lookup = Lookup(key="number", result="id", url="https://crm.example.com/search")
    shaped = replace(endpoint("e"), request=replace(PLAIN, lookup=lookup))
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    looking_up = LookingUp(**parts)
    attempt = asyncio.create_task(looking_up.find(shaped, None, b"{}", {}, deadline_s=10))  # type: ignore[arg-type]
    await asked.wait()
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    answers.set()
    while looking_up._running:
        await asyncio.sleep(0)
    del attempt  # It refers to the lookup.
    gc.collect()
    assert faults == []

"""Composes the requests of endpoints that shape them, and captures what their answers say."""

import asyncio

from relay.domain.masking import cut
from relay.domain.model import Endpoint, EndpointId, StoredEvent
from relay.errors import EvaluatorUnavailable, ExpressionFailed, StoreUnavailable
from relay.expressions.evaluator import Evaluator
from relay.outbound.preparing import PreparedEndpoint
from relay.pipeline.dispatch.looking_up import LookingUp
from relay.pipeline.dispatch.shaping import LONGEST_WHY, NULL, NotSent, Request, facts_of, key_of, missed, request_of
from relay.store.captures import LONGEST_BYTES, Captures

CAPTURE = "capture.value"
AGAIN_S = 0.2


class Composing:
    """Composes requests, and captures what their answers say."""

    def __init__(self, *, evaluator: Evaluator, looking_up: LookingUp, captures: Captures) -> None:
        self._evaluator, self._looking_up, self._captures = evaluator, looking_up, captures

    async def compose(
        self, endpoint: Endpoint, prepared: PreparedEndpoint, event: StoredEvent, event_type: str, body: bytes, *,
        deadline_s: float,
    ) -> Request:  # fmt: skip
        """The request for an event, of which the endpoint may have `body`. Raises NotSent."""
        shape, known = endpoint.request, facts_of(event, event_type, endpoint)
        found = captured = NULL
        if shape.lookup is not None:
            looked_up = await self._looking_up.find(endpoint, prepared, body, known, deadline_s=deadline_s)
            if looked_up is None and shape.lookup.on_miss != "send":
                raise NotSent(missed(shape.lookup.on_miss == "skip"))
            found = looked_up or NULL
        if shape.capture is not None:
            captured = await self._captures.get(endpoint.id, key_of(event)) or NULL
        return await request_of(self._evaluator, endpoint, body, known, found=found, captured=captured)

    async def capture(self, endpoint: Endpoint, event: StoredEvent, answer: bytes, *, deadline_s: float) -> str:
        """Keep what an answer says for the later events of the row. Gives what is wrong, for people; '': nothing."""
        assert endpoint.request.capture is not None  # noqa: S101 - the caller asked
        ends = asyncio.get_running_loop().time() + deadline_s
        try:
            value = await self._captured(endpoint.id, endpoint.request.capture.value, answer, ends)
        except ExpressionFailed as error:
            return f"the expression of the capture failed: {cut(error.message, LONGEST_WHY)}"
        except EvaluatorUnavailable:
            return "the capture could not be evaluated"
        if value is None:
            return "the capture found nothing in the answer"
        if len(value) > LONGEST_BYTES:
            return f"the capture found {len(value)} bytes, and {LONGEST_BYTES} can be kept"
        return await self._keep(endpoint, event, value, ends)

    async def _captured(self, endpoint: EndpointId, expression: str, answer: bytes, ends: float) -> bytes | None:
        """What an expression finds. The event was sent, so another attempt would send it twice."""
        while True:
            try:
                return (await self._evaluator.evaluate(endpoint, {CAPTURE: expression}, answer, {}))[CAPTURE]
            except EvaluatorUnavailable as error:
                pause_s = max(error.wait_s, AGAIN_S)
                if asyncio.get_running_loop().time() + pause_s > ends:
                    raise
                await asyncio.sleep(pause_s)

    async def _keep(self, endpoint: Endpoint, event: StoredEvent, value: bytes, ends: float) -> str:
        while True:
            try:
                await self._captures.put(endpoint.id, key_of(event), value)
            except StoreUnavailable:
                if asyncio.get_running_loop().time() > ends:
                    return "what was captured could not be kept, because the store did not answer"
                await asyncio.sleep(AGAIN_S)
            else:
                return ""

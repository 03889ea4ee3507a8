"""Lookups: a request before the callback, such as a search for a contact, with a cache of what was found."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping

from relay.domain.model import Endpoint
from relay.domain.outcomes import Failure, Outcome
from relay.domain.requests.model import Lookup
from relay.domain.requests.templates import names_in
from relay.domain.sending.rights import Wanted
from relay.expressions.evaluator import Evaluator
from relay.outbound.callbacks import CallbackSender
from relay.outbound.preparing import PreparedEndpoint
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.shaping import PARAMETER, NotSent, evaluated, filled
from relay.store.rates import Rates, Wish

KEY, QUESTION, RESULT = "lookup.key", "lookup.body", "lookup.result"
MOST_CACHED = 50_000
"""Results kept in one worker; the ones found longest ago go first."""
NOTHING_THERE = frozenset({204, 404})
"""Answers that say that there is nothing."""
ONE = Wanted(1, 0, 0, 0)
SOONEST_S = 0.005
_Found = tuple[float, bytes | None]
"""Until when a result holds, and the JSON of it; None: a miss."""


class LookingUp:
    """Looks things up, each key once at a time, and keeps what was found for as long as the endpoint says."""

    def __init__(
        self, *, catalogue: Catalogue, sender: CallbackSender, evaluator: Evaluator, rates: Rates, clock: Clock
    ) -> None:
        self._catalogue, self._sender, self._evaluator = catalogue, sender, evaluator
        self._rates, self._clock = rates, clock
        self._found: OrderedDict[tuple[str, int, bytes], _Found] = OrderedDict()
        self._running: dict[tuple[str, int, bytes], asyncio.Task[bytes | None]] = {}

    async def find(
        self, endpoint: Endpoint, prepared: PreparedEndpoint, body: bytes, known: Mapping[str, bytes], *,
        deadline_s: float,
    ) -> bytes | None:  # fmt: skip
        """The JSON of what an endpoint's lookup finds for an event; None: nothing. Raises NotSent."""
        lookup = endpoint.request.lookup
        assert lookup is not None  # noqa: S101 - the caller asked
        results = await evaluated(self._evaluator, endpoint, _expressions(lookup), body, known)
        key = results[KEY]
        if key is None:
            return None
        # A change of the endpoint may ask another question.
        entry = (endpoint.id, endpoint.updated_at_ms, key)
        now = asyncio.get_running_loop().time()
        if (cached := self._found.get(entry)) is not None and cached[0] > now:
            return cached[1]
        if (task := self._running.get(entry)) is None:
            asking = self._ask(endpoint, lookup, prepared, results, known, deadline_s)
            task = self._running[entry] = asyncio.create_task(asking, name="lookup")
            task.add_done_callback(lambda done: self._ended(entry, done))
        found = await asyncio.shield(task)
        self._keep(entry, found, now + lookup.cache_s)
        return found

    def _ended(self, entry: tuple[str, int, bytes], task: asyncio.Task[bytes | None]) -> None:
        self._running.pop(entry, None)
        if not task.cancelled():
            task.exception()  # Attempts that wait get it. They may all have been given up.

    async def _ask(
        self, endpoint: Endpoint, lookup: Lookup, prepared: PreparedEndpoint, results: Mapping[str, bytes | None],
        known: Mapping[str, bytes], deadline_s: float,
    ) -> bytes | None:  # fmt: skip
        loop = asyncio.get_running_loop()
        ends = loop.time() + deadline_s
        await self._wait_for_turn(endpoint, ends)
        values = {name.removeprefix(PARAMETER): value for name, value in results.items()}
        url = filled(lookup.url, values | {"key": known["key"]})
        question = results.get(QUESTION) or b""
        outcome = await self._sender.ask(
            prepared, lookup.method, url, question, now_ms=self._clock.now_ms(), deadline_s=max(0.1, ends - loop.time())
        )
        if outcome.status in NOTHING_THERE:
            return None
        if not 200 <= outcome.status < 300:
            raise NotSent(_unanswered(outcome))
        answer = outcome.answer or b"null"
        return (await evaluated(self._evaluator, endpoint, {RESULT: lookup.result}, answer, known))[RESULT]

    async def _wait_for_turn(self, endpoint: Endpoint, ends: float) -> None:
        """Wait for the right to ask, for half of the attempt's time at most."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + (ends - loop.time()) / 2
        bounds = self._catalogue.lookup_bounds(endpoint)
        while bounds.are_any:
            ((given, wait_s, _),) = await self._rates.take([Wish(bounds, ONE)])
            if given:
                return
            if loop.time() + wait_s > latest:
                # Nobody's fault: the event waits, and uses up no try.
                raise NotSent(Outcome(error=Failure.LOCAL, detail="the limits of lookups are used up for now"))
            await asyncio.sleep(max(SOONEST_S, wait_s))

    def _keep(self, entry: tuple[str, int, bytes], found: bytes | None, until: float) -> None:
        self._found[entry] = until, found
        self._found.move_to_end(entry)
        if len(self._found) > MOST_CACHED:
            self._found.popitem(last=False)


def _expressions(lookup: Lookup) -> dict[str, str]:
    wanted = {KEY: lookup.key} | ({} if lookup.body is None else {QUESTION: lookup.body})
    parameters = {name: lookup.url_parameters[name] for name in names_in(lookup.url) if name in lookup.url_parameters}
    return wanted | {PARAMETER + name: expression for name, expression in parameters.items()}


def _unanswered(outcome: Outcome) -> Outcome:
    """The outcome of an attempt whose lookup failed: it is judged like an answer to the callback."""
    what = f"the lookup was answered {outcome.status}" if outcome.status else f"the lookup failed: {outcome.detail}"
    error = Failure.LOOKUP if outcome.status else outcome.error
    # The event was not sent: no rule can call that a success.
    ruling = None if outcome.succeeded else outcome.ruling
    return Outcome(
        status=outcome.status, error=error, detail=what, duration_ms=outcome.duration_ms,
        headers=outcome.headers, body=outcome.body, retry_after=outcome.retry_after, ruling=ruling,
    )  # fmt: skip

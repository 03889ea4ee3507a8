"""Small questions to the store, gathered: conditions, sending rights and trials of all endpoints in few round trips."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from relay.domain.breaking import Condition
from relay.domain.counts import SendingCounts
from relay.domain.sending.core import Core
from relay.domain.sending.effects import Announce, Change, FetchRights
from relay.domain.sending.rights import Granted
from relay.errors import StoreRefused, StoreUnavailable
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.store.conditions import ConditionChange, Conditions
from relay.store.lanes import Lanes
from relay.store.rates import Rates, Wish

log = structlog.get_logger()

Question = Change | FetchRights | Announce
RETRY_S, REFUSED_RETRY_S = 0.5, 5.0


class Asking:
    """Asks until there is an answer; `answered` is called after answers were put into the core."""

    def __init__(
        self,
        *,
        core: Core,
        session: str,
        lanes: Lanes,
        rates: Rates,
        conditions: Conditions,
        catalogue: Catalogue,
        clock: Clock,
        outlives_ms: int,
        answered: Callable[[], None],
        counts: SendingCounts,
    ) -> None:
        """`outlives_ms`: longer than an attempt. The right to probe lasts so long, and callbacks of a dead worker."""
        self._core = core
        self._session = session
        self._lanes = lanes
        self._rates = rates
        self._conditions = conditions
        self._catalogue = catalogue
        self._clock = clock
        self._outlives_ms = outlives_ms
        self._answered = answered
        self._counts = counts
        self._questions: list[Question] = []
        self._asked = asyncio.Event()

    def ask(self, question: Question) -> None:
        """Ask soon."""
        if isinstance(question, Change):
            self._counts.breakers[question.verb] += 1
        self._questions.append(question)
        self._asked.set()

    async def run(self) -> None:
        """Ask until cancelled. Redis may go away and come back."""
        while True:
            await self._asked.wait()
            try:
                await self.ask_now()
            except (StoreUnavailable, StoreRefused) as error:
                log.warning("endpoint_questions_failed", questions=len(self._questions), error=str(error))
                await asyncio.sleep(REFUSED_RETRY_S if isinstance(error, StoreRefused) else RETRY_S)
            self._answered()

    async def ask_now(self) -> None:
        """Ask what is to be asked, once. Raises StoreUnavailable; then it is still to be asked."""
        self._asked.clear()
        questions, self._questions = self._questions, []
        try:
            await self._announce([each for each in questions if isinstance(each, Announce)])
            await self._fetch([each for each in questions if isinstance(each, FetchRights)])
            await self._change([each for each in questions if isinstance(each, Change)])
        except (StoreUnavailable, StoreRefused):
            # What was answered is asked again too: nothing of it does harm twice. Trials were put back.
            again = [_again(each) for each in questions if not isinstance(each, Announce)]
            self._questions = [*again, *self._questions]
            self._asked.set()
            raise

    async def flush(self) -> None:
        """Tell what is left to tell, once. Raises StoreUnavailable."""
        await self._change([each for each in self._questions if isinstance(each, Change) and each.verb != "probe"])
        told = [each for each in self._questions if isinstance(each, FetchRights) and not each.wanted.number]
        await self._fetch(told)

    async def _change(self, changes: list[Change]) -> None:
        """Change conditions, and put what they are then into the core."""
        if not changes:
            return
        now_ms = self._clock.now_ms()
        conditions = await self._conditions.change(
            [ConditionChange(each.endpoint, each.verb, each.opens, each.until_ms) for each in changes],
            session=self._session,
            now_ms=now_ms,
            probe_lives_ms=self._outlives_ms,
        )
        for change, condition in zip(changes, conditions, strict=True):
            self._core.learnt(change.endpoint, condition, now_ms)
            _tell(change, condition, now_ms)

    async def _fetch(self, wishes: list[FetchRights]) -> None:
        bound: list[tuple[FetchRights, Wish]] = []
        for each in wishes:
            endpoint = self._catalogue.endpoint(each.endpoint)
            if endpoint is not None and (bounds := self._catalogue.bounds(endpoint)).are_any:
                bound.append((each, Wish(bounds, each.wanted, f"{each.endpoint} {self._session}")))
        if not bound:
            return
        answers = await self._rates.take([wish for _, wish in bound], lives_ms=self._outlives_ms)
        now_ms = self._clock.now_ms()
        for (each, _), (given, wait_s, taken_ms) in zip(bound, answers, strict=True):
            granted = Granted(given, round(wait_s * 1000), taken_ms, not each.wanted.number)
            self._core.may_send(each.endpoint, granted, now_ms)

    async def _announce(self, trials: list[Announce]) -> None:
        if not trials:
            return
        deliveries = [each.delivery for each in trials]
        try:
            await self._lanes.announce(
                self._session, [(d.lane.source, d.lane.machine.id, d.stored) for d in deliveries]
            )
        except (StoreUnavailable, StoreRefused):
            # Without that note nobody would be to blame.
            for delivery in deliveries:
                self._core.untried(delivery, self._clock.now_ms())
            raise
        for delivery in deliveries:
            self._core.announced(delivery)


def _again(question: Change | FetchRights) -> Change | FetchRights:
    """A question that may have been answered: rights that were given back once are not given back twice."""
    if isinstance(question, FetchRights) and question.wanted.unused:
        return replace(question, wanted=question.wanted._replace(unused=0))
    return question


def _tell(change: Change, condition: Condition, now_ms: int) -> None:
    """Log what changed for the endpoint. The workers that only hear of it say nothing."""
    if change.verb == "well" and change.opens:
        log.info("breaker_closed", endpoint=change.endpoint, probes=change.opens)
    elif change.verb == "open" and condition.opens == change.opens + 1:
        pause = {"endpoint": change.endpoint, "pause_s": max(0, condition.until_ms - now_ms) / 1000}
        if condition.opens == 1:
            log.warning("breaker_opened", **pause)
        else:
            log.info("probe_failed", **pause, probes=change.opens)
    elif change.verb == "rest" and condition.asked_ms > now_ms:
        log.info("endpoint_rests", endpoint=change.endpoint, pause_s=(condition.asked_ms - now_ms) / 1000)

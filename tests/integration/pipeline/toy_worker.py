"""A worker without HTTP: it claims, decides by itself what came of each callback, hands in, repeats, and dies."""

from collections import Counter
from collections.abc import Iterator

from relay.domain.model import EndpointId
from relay.domain.references import parse_reference
from relay.errors import StoreUnavailable
from relay.store import keys
from relay.store.lanes import Given, Handed
from tests.integration.pipeline.rig import UK, Rig

RETRY_MS = 30_000


class ToyWorker:
    """What a worker remembers. `sent` counts the callbacks of all workers that a receiver confirmed."""

    def __init__(self, rig: Rig, name: str, sent: Counter[tuple[EndpointId, int]]) -> None:
        self._rig = rig
        self._name = name
        self._sent = sent
        self._turn = 0
        self._held: dict[EndpointId, list[bytes]] = {}
        self._unanswered: list[Handed] | None = None

    async def work(self, outcomes: Iterator[str], *, claim: int = 4, per_lane: int = 3, more: int = 3) -> None:
        """One exchange. `outcomes`: ended, retry, dead, back or keep for each reference that it has."""
        repeated = self._unanswered is not None
        if self._unanswered is None:
            self._turn += 1
            self._unanswered = [self._results(endpoint, outcomes, more=more) for endpoint in self._held]
        try:
            _, given = await self._rig.lanes.exchange(
                UK, self._unanswered, session=self._name, turn=self._turn, now_ms=self._rig.clock.at_ms,
                lives_ms=60_000, claim=claim, per_lane=per_lane,
            )  # fmt: skip
            self._take_in(given)
            if repeated:
                self._recover(await self._rig.lanes.held(UK, self._name))
        except StoreUnavailable:
            return
        self._unanswered = None

    async def die(self) -> None:
        """Its session runs out, and whoever sweeps takes up its lanes."""
        await self._rig.eyes.zadd(keys.sessions(UK), {self._name: 0})
        await self._rig.lanes.sweep(UK, now_ms=self._rig.clock.at_ms)

    def _results(self, endpoint: EndpointId, outcomes: Iterator[str], *, more: int) -> Handed:
        handed, kept = Handed(endpoint, more=more), []
        known = self._rig.catalogue.endpoint(endpoint)
        off = known is not None and known.disabled
        for stored in self._held[endpoint]:
            reference = parse_reference(stored)
            outcome = "back" if off else next(outcomes)
            if outcome == "ended":
                self._sent[endpoint, reference.number] += 1
                handed.ended.append(stored)
            elif outcome == "retry":
                again = reference._replace(attempt=reference.attempt + 1, crashes=0).text()
                handed.retries.append((stored, again, self._rig.clock.at_ms + RETRY_MS))
            elif outcome == "dead":
                handed.dead.append((stored, "given up"))
            elif outcome == "back":
                handed.back.append((stored, stored))
            else:
                kept.append(stored)
        self._held[endpoint] = kept
        if off:
            handed.park_until = self._rig.clock.at_ms + RETRY_MS
        elif more == 0 and not kept:
            handed.more = -1
        return handed

    def _take_in(self, given: list[Given]) -> None:
        for each in given:
            if each.state == "claimed":
                self._held[each.endpoint] = list(each.references)
            elif each.state == "held":
                self._held[each.endpoint] += each.references
            else:
                self._held.pop(each.endpoint, None)

    def _recover(self, held: list[Given]) -> None:
        for each in held:
            known = self._held.setdefault(each.endpoint, [])
            known += [reference for reference in each.references if reference not in known]

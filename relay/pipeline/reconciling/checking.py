"""Checking: whether the differences that were found are still there. What was on its way when it was seen is none."""

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from relay.domain.reconciling import KINDS, Difference
from relay.pipeline.reconciling.comparing import Comparing, Ground
from relay.store.books import Books
from relay.store.reconciliations import LISTED, Reconciliations, Run


class Checking:
    """Ends reconciliations."""

    def __init__(self, *, comparing: Comparing, books: Books, runs: Reconciliations) -> None:
        self._comparing = comparing
        self._books = books
        self._runs = runs

    async def check(self, ground: Ground, run: Run, *, now_ms: int) -> Run:
        """Look at each listed difference again; then the reconciliation is done."""
        uid = ground.source.uid
        listed = await self._runs.differences(uid, run.id, first=0, limit=LISTED)
        fates = await self._comparing.fates(ground, [each for each in listed if each.endpoint])
        found, endpoints, kept = Counter(run.found), dict(run.endpoints), list[Difference]()
        for each in listed:
            if each.endpoint:
                fate = fates.get((each.endpoint, each.number))
                endpoints[each.endpoint] = endpoints[each.endpoint].changed(each.kind, fate)  # type: ignore[arg-type]
                if fate in KINDS:
                    kept.append(replace(each, kind=fate))
            else:
                kept.append(each)
        kept = await self._without_stored(ground, kept)
        found.subtract(each.kind for each in listed)
        found.update(each.kind for each in kept)
        ended = replace(
            run,
            phase="done",
            found={kind: number for kind in KINDS if (number := found[kind]) > 0},
            endpoints=endpoints,
            ended_at_ms=now_ms,
        )
        return await self._runs.save(uid, run, ended, differences=kept, anew=True)

    async def _without_stored(self, ground: Ground, found: Sequence[Difference]) -> list[Difference]:
        """Without the missing rows that have events by now."""
        missing = [each for each in found if each.kind == "missing"]
        stored = {
            (space, row_id)
            for space in {each.space for each in missing}
            for row_id in await self._books.have(
                ground.source.uid, space, {each.row_id for each in missing if each.space == space}
            )
        }
        return [each for each in found if each.kind != "missing" or (each.space, each.row_id) not in stored]

"""An upstream that shows rows late, or changes them hours later. Time is scaled: so are the settings."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from relay.domain.envelope import decode
from relay.domain.model import MessageId
from tests.fault.case import Finding, case
from tests.fault.checker import delays_s, p
from tests.fault.recorder import always
from tests.fault.stage import SOURCE, Stage, TooLate, stage, until

POLL_S = 0.1
DAY_S = 86_400.0
PATH = "e00"


def scaled(by: float, *, changes: str = "0") -> dict[str, str]:
    """The default settings of readings, with time that runs `by` times as fast."""
    schedule = ",".join(f"{float(each) / by:.3f}" for each in changes.split(",")) if changes != "0" else "0"
    return {
        "RELAY_OVERLAP_SECONDS": f"{600 / by:.3f}",
        "RELAY_OVERLAP_INTERVAL_SECONDS": f"{60 / by:.3f}",
        "RELAY_GAP_DEADLINE_SECONDS": f"{DAY_S / by:.3f}",
        "RELAY_CHANGE_SCHEDULE": schedule,
        "RELAY_READING_REQUESTS_PER_HOUR": str(round(600 * by)),
    }


@case("late-rows", goal="G8", seconds=40)
async def late(seed: int) -> AsyncIterator[Finding]:
    """Every row is visible up to 60 s after its id was taken, in any order; a minute takes three seconds."""
    async with stage(seed, poll_s=POLL_S, settings=scaled(20)) as on:
        await on.endpoint(PATH, always())
        await on.worker()
        for _ in range(20 * 100):
            on.upstream.offer(PATH, after_s=on.rng.uniform(0, 60 / 20))
            await asyncio.sleep(0.01)
        for finding in await _judged(on, within_s=60):
            yield finding


@case("very-late-rows", goal="G8", seconds=50)
async def very_late(seed: int) -> AsyncIterator[Finding]:
    """One row in a hundred is visible an hour after its id was taken; an hour takes ten seconds."""
    async with stage(seed, poll_s=POLL_S, settings=scaled(360)) as on:
        await on.endpoint(PATH, always())
        await on.worker()
        for number in range(20 * 100):
            on.upstream.offer(PATH, after_s=3600 / 360 if number % 100 == 50 else 0)
            await asyncio.sleep(0.01)
        for finding in await _judged(on, within_s=90):
            yield finding


async def _judged(on: Stage, *, within_s: float) -> list[Finding]:
    began = asyncio.get_running_loop().time()
    with_late = len(on.upstream.offered)

    def all_came() -> bool:
        return len({arrival.row for arrival in on.recorder.arrivals}) >= with_late

    with suppress(TooLate):  # What is missing is a finding.
        await until(all_came, within_s=within_s, what="every row")
    took_s = asyncio.get_running_loop().time() - began
    await asyncio.sleep(2)
    verdict = on.verdict()
    never = len(on.upstream.offered) - len({arrival.row for arrival in on.recorder.arrivals})
    return [
        Finding("rows that never came", never, "==", 0, "", f"of {with_late}; the last {took_s:.0f} s after its id"),
        Finding("lost", len(verdict.lost), "==", 0),
        Finding("doubled", verdict.duplicates, "==", 0),
        Finding("rows under more than one webhook-id", len(verdict.renamed), "==", 0),
    ]


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a row, and how long after its first sight."""

    column: str
    value: str
    after_s: float


SCALE = 1000.0
CHANGES = (
    Change("callRating", "5", 3600),
    Change("goal", "7", 5 * 3600),
    Change("callTranscription", "Hello", 12 * 3600),
    Change("notes", "called back", 20 * 3600),
)
ROWS = 2000


@case("a-day-of-changes", goal="G8", seconds=150)
async def day_of_changes(seed: int) -> AsyncIterator[Finding]:
    """Ratings, goals, transcriptions and notes come hours after the call; a day takes 86 s."""
    settings = scaled(SCALE, changes="900,7200,86400")
    async with stage(seed, poll_s=POLL_S, settings=settings) as on:
        await on.endpoint(PATH, always())
        await on.worker()
        loop, changed = asyncio.get_running_loop(), dict[int, Change]()
        for number in range(ROWS):
            row = on.upstream.offer(PATH)
            if number % 20 == 0:
                changed[row] = change = CHANGES[number // 20 % len(CHANGES)]
                loop.call_later(change.after_s / SCALE, _change, on, row, change)
            await asyncio.sleep(0.01)
        await on.taken_in()
        expected = ROWS + len(changed)
        with suppress(TooLate):  # What is missing is a finding.
            await until(lambda: len(on.recorder.arrivals) >= expected, within_s=DAY_S / SCALE * 1.6, what="changes")
        await asyncio.sleep(2)
        for finding in await _changes_judged(on, changed):
            yield finding


def _change(on: Stage, row: int, change: Change) -> None:
    on.upstream.change(row, **{change.column: change.value})


async def _changes_judged(on: Stage, changed: Mapping[int, Change]) -> list[Finding]:
    messages: dict[int, list[str]] = defaultdict(list)
    for arrival in on.recorder.arrivals:
        messages[arrival.row].append(arrival.message)
    told = 0
    for row, change in changed.items():
        for message in messages[row][1:]:
            found = await on.stores.events.find(SOURCE, MessageId(message))
            data = decode(found[1].body) if found else {}
            before = data.get("previous", {}).get(change.column, "nothing was told")
            told += before is None and data["trigger"][change.column] == change.value
    twice = sum(count > 1 for count in Counter(arrival.message for arrival in on.recorder.arrivals).values())
    first = {arrival.message: arrival for arrival in reversed(on.recorder.arrivals)}
    new = [first[found[0]] for found in messages.values() if found]
    surplus = sum(len(found) - 1 for row, found in messages.items() if row not in changed)
    return [
        Finding("changes that were not told with `previous`", len(changed) - told, "==", 0, "", f"of {len(changed)}"),
        Finding("rows that never came", ROWS - len(messages), "==", 0, "", f"of {ROWS}"),
        Finding("callbacks that came twice", twice, "==", 0),
        Finding("updates of rows that did not change", surplus, "==", 0),
        Finding(
            "from a new row's answer to its callback, p99",
            p(delays_s(on.shown, new), 0.99),
            "<=",
            0.25,
            "s",
        ),
    ]

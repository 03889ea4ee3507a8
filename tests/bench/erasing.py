"""What erasures cost: a new row is compared with those who were erased, and a kept event is looked through."""

from collections.abc import Callable
from secrets import token_hex
from time import process_time

from relay.domain.erasing import is_in_event, phone, visitor
from relay.domain.erasures import KEY_BYTES, Erased, erasure_of
from relay.domain.model import StoredEvent
from relay.store.event_form import PACKING
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.judging import NOW_MS, judged
from tests.bench.rows import SOURCE
from tests.bench.subscribing import matcher

PART = "erasing"
TEXT = "compare a row with persons who were erased, and look through a kept event for a person, on one core"
ROWS = 4_000
PERSONS = (1, 10_000)


async def run(bench: Bench) -> None:
    """Measure with phone numbers alone, and with as many visitors in addition."""
    bench.report.begin(PART, TEXT)
    commits, stages = judged(bench.rows.lines(bench.size(ROWS)), matcher(10).match, source=SOURCE)
    events = [PACKING.unpack(each.event) for each in commits]
    all_of_it = sum(stages.values())
    bench.report.add(Figure(PART, "all that a row takes before it is stored", [all_of_it], "us"))
    for count in PERSONS:
        key = token_hex(KEY_BYTES)
        phones = [phone(f"+44207{number:07}") for number in range(count)]
        visitors = [visitor(f"{number:08x}") for number in range(count)]
        for text, some in (("numbers", phones), ("numbers and visitors", [*phones, *visitors])):
            erasures = (erasure_of(each, "e", key=key, until_ms=NOW_MS, sources=None) for each in some)
            erased = Erased(erasures)
            took = [_took(events, lambda event, erased=erased: erased.covers(SOURCE, event)) for _ in range(bench.runs)]  # type: ignore[misc]
            bench.report.add(Figure(PART, f"compare a row, {count} {text}", took, "us"))
    for kind, identity in (("number", phone("+442079460958")), ("visitor", visitor("5e0a1b2c"))):
        took = [_took(events, lambda event, who=identity: is_in_event(who, event)) for _ in range(bench.runs)]  # type: ignore[misc]
        bench.report.add(Figure(PART, f"look through an event for a {kind}", took, "us"))


def _took(events: list[StoredEvent], look: Callable[[StoredEvent], bool]) -> float:
    began = process_time()
    for event in events:
        look(event)
    return (process_time() - began) / len(events) * 1e6

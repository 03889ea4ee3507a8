"""Answers that tell the relay what to do next: when to come again, where else to go, and that nobody is there."""

import math
import random
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

from relay.config import STANDARD_SCHEDULE
from relay.domain.breaking import Health
from relay.domain.judging import judge
from relay.domain.model import Attempt
from relay.domain.outcomes import Outcome
from relay.domain.retrying import RETRY_AFTER_CAP_MS, delay_ms
from tests.fault.case import Finding, case
from tests.fault.hostile_sink import canary
from tests.fault.recorder import Arrival, Reply, always
from tests.fault.stage import SOURCE, Stage, now_ms, stage, until

OWN_S = 1.0
"""The schedule's only step, of which jitter takes a tenth at most."""
TEN_YEARS_S = 315_360_000
CASES = 10_000


@case("retry-after", goal="G25", seconds=15)
async def retry_after(seed: int) -> AsyncIterator[Finding]:
    """A receiver says when it wants the next request, in seconds or as a date, or talks nonsense."""
    async with stage(seed) as on:
        due: dict[str, int] = {}
        for name, status, ask in _askers():
            await _asks(on, due, name, status, ask)
        await on.endpoint("years", always(429, f"retry-after: {TEN_YEARS_S}"), retry_schedule=(OWN_S,) * 3)
        await on.worker()
        names = list(on.endpoints)
        for name in names:
            on.upstream.offer(name)
        await until(lambda: len(on.recorder.arrivals) >= len(names), within_s=10, what="the first requests")
        # What comes meanwhile waits too.
        await on.offer_at(20, 2.0, lambda number: names[number % len(names)])
        await until(lambda: all(_after(on, name) for name in due), within_s=10, what="the next requests")
        for form, what in (("seconds", "seconds"), ("date", "a date"), ("none", "nonsense: its own delay counts")):
            these = [_after(on, name)[0].wall_ms - at for name, at in due.items() if name.startswith(form)]
            note = f"{len(these)} endpoints"
            yield Finding(f"next request before its time, {what}", max(0, -min(these)), "<=", 0, "ms", note)
            yield Finding(f"next request after its time, {what}", max(these), "<=", 1500, "ms")
        yield Finding("requests that were to come in ten years", len(on.recorder.of("years")), "==", 1)
        _, attempt = (await _attempts(on, "years"))[0]
        planned_ms = attempt.next_at_ms - attempt.started_at_ms - attempt.duration_ms
        off = abs(planned_ms - RETRY_AFTER_CAP_MS)
        yield Finding("their next try is planned off the cap of 24 h by", off, "<=", 1000, "ms")
    yield _nonsense(random.Random(seed))


Ask = Callable[[int], tuple[str, int]]
"""From now, in ms, to a Retry-After and the time from which the next request may come."""


def _askers() -> Iterator[tuple[str, int, Ask]]:
    """Endpoints by name, with the status and the header of their first answer."""
    for status in (429, 503):
        for wait_s in (2, 4):
            yield f"seconds-{status}-{wait_s}", status, _in_seconds(wait_s)
            yield f"date-{status}-{wait_s}", status, _at_a_date(wait_s)
    for number, value in enumerate(("-5", "NaN", _date(0)[0], "")):
        yield f"none-{number}", 500, _in_vain(value)


def _in_seconds(wait_s: int) -> Ask:
    return lambda now: (str(wait_s), now + wait_s * 1000)


def _at_a_date(wait_s: int) -> Ask:
    return lambda now: _date(now + wait_s * 1000)


def _in_vain(value: str) -> Ask:
    return lambda now: (value, now + round(OWN_S * 900))


async def _asks(on: Stage, due: dict[str, int], name: str, status: int, ask: Ask) -> None:
    """An endpoint whose first answer asks for a wait; `due` gets the time from which it may come again."""

    def habit(number: int, _row: int) -> Reply:
        if number:
            return Reply()
        value, due[name] = ask(now_ms())
        return Reply(status, 0.0, (f"retry-after: {value}",))

    await on.endpoint(name, habit, retry_schedule=(OWN_S,) * 3)


def _after(on: Stage, name: str) -> list[Arrival]:
    """What came after the first request. 500 speaks for one event only, so for those it is that event's next try."""
    first, *others = on.recorder.of(name)
    return [each for each in others if each.row == first.row or not name.startswith("none")]


def _date(at_ms: int) -> tuple[str, int]:
    """The next whole second from a time on, as HTTP writes it, and in ms."""
    whole_s = math.ceil(at_ms / 1000)
    return format_datetime(datetime.fromtimestamp(whole_s, UTC), usegmt=True), whole_s * 1000


async def _attempts(on: Stage, name: str) -> list[tuple[int, Attempt]]:
    return await on.stores.attempts.of_endpoint(SOURCE, on.endpoints[name].id, limit=100)


def _nonsense(rng: random.Random) -> Finding:
    now, wrong = 1_790_000_000_000, []
    for _ in range(CASES):
        value, jitter, attempt = _hostile(rng), rng.random(), rng.randint(1, len(STANDARD_SCHEDULE))
        outcome = Outcome(status=rng.choice((301, 400, 429, 500, 503)), retry_after=value)
        own = delay_ms(STANDARD_SCHEDULE, attempt, jitter=jitter) or 0
        try:
            verdict = judge(
                outcome, attempt=attempt, health=Health(), probing=False, order="unordered",
                schedule=STANDARD_SCHEDULE, jitter=jitter, now_ms=now,
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - any is a violation
            wrong.append(value)
            continue
        late = max(own, RETRY_AFTER_CAP_MS)
        if not (own <= verdict.due_ms - now <= late and verdict.asked_until_ms <= now + RETRY_AFTER_CAP_MS):
            wrong.append(value)
    note = f"of {CASES}" + (f"; the first: {wrong[0]!a}" if wrong else "")
    return Finding("hostile values that hasten or stall a try", len(wrong), "==", 0, "", note)


def _hostile(rng: random.Random) -> str:
    number = rng.choice((0, 1, rng.randrange(-10, 100_000), TEN_YEARS_S, rng.randrange(10**30), -(10**18)))
    year, offset = rng.choice((0, 1, 1969, 2026, 9999, 99_999)), rng.choice(("GMT", "-2359", "+9999", "", "+1e9"))
    texts = (
        str(number),
        f" {number} ",
        f"{number}.5",
        f"{number}e9",
        "9" * rng.randint(1, 400),
        rng.choice(("NaN", "inf", "-inf", "", "soon", "²", "٣٤", "0x10", "\0", "1_000", "+5", "--1")),
        f"Fri, {rng.randint(0, 99)} Dec {year} {rng.randint(0, 30)}:{rng.randint(0, 99)}:00 {offset}",
        format_datetime(datetime.fromtimestamp(rng.randrange(1 << 36), UTC), usegmt=True),
        "".join(chr(rng.randrange(1, 0x3000)) for _ in range(rng.randint(1, 40))),
    )
    return rng.choice(texts)


REDIRECTS = (301, 302, 303, 307, 308)


def _targets(port: int) -> tuple[str, ...]:
    hosts = ("127.0.0.9", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.9]", "user@127.0.0.9")
    return (
        *(f"http://{host}:{port}/" for host in hosts),
        f"https://127.0.0.9:{port}/",
        f"//127.0.0.9:{port}/",
        f"gopher://127.0.0.9:{port}/",
        "/elsewhere",
        "elsewhere",
    )


@case("redirects", goal="G26", seconds=10)
async def redirects(seed: int) -> AsyncIterator[Finding]:
    """Redirects lead nowhere, and 410 ends an endpoint, said once."""
    async with canary("0.0.0.0") as bird, stage(seed) as on:
        for status in REDIRECTS:
            for number, target in enumerate(_targets(bird.port)):
                headers = (f"location: {target}", f"refresh: 0; url={target}", f'alt-svc: h2="{target}"')
                await on.endpoint(f"r{status}-{number}", always(status, *headers))
        await on.endpoint("gone", always(410, after_s=0.05))
        for _ in range(2):
            await on.worker()
        names = list(on.endpoints)
        for name in (*names, *["gone"] * 50):
            on.upstream.offer(name)
        async for finding in _ended(on):
            yield finding
        await until(
            lambda: len({a.path for a in on.recorder.arrivals} & set(names)) == len(names), within_s=10, what="all"
        )
        await sleep(1.0)
        redirected = [a for a in on.recorder.arrivals if a.path.startswith("r")]
        yield Finding("requests where a redirect leads", bird.touched + len(on.recorder.of("elsewhere")), "==", 0)
        note = f"{len(REDIRECTS)} codes × {len(_targets(0))} targets"
        yield Finding(
            "redirects that were answered to the endpoint's own URL", len(redirected), "==", len(names) - 1, "", note
        )


async def _ended(on: Stage) -> AsyncIterator[Finding]:
    gone = on.endpoints["gone"]

    async def disabled() -> bool:
        return (await on.stores.endpoints.get(on.application.id, gone.id)).disabled

    await until(lambda: on.recorder.of("gone"), within_s=10, what="the endpoint that is gone", every_s=0.005)
    # Until its answer is on the wire it is not gone.
    after_s = now_ms() / 1000 - on.recorder.of("gone")[0].wall_ms / 1000 - 0.05
    after_s += await until(disabled, within_s=10, what="it to be disabled", every_s=0.01)
    sent = len(on.recorder.of("gone"))
    note = f"{sent} of 51 events had been sent to it by then"
    yield Finding("410 disables its endpoint within", after_s, "<=", 1, "s", note)
    await sleep(0.5)
    settled = len(on.recorder.of("gone"))
    await on.offer_at(20, 1.0, lambda _: "gone")
    await on.taken_in()
    yield Finding("requests to it after that", len(on.recorder.of("gone")) - settled, "==", 0)
    told = await on.stores.operations.page(limit=100)
    events = [each for each in told if each.kind == "endpoint.disabled" and each.data["endpointId"] == gone.id]
    yield Finding("operational events about it", len(events), "==", 1)

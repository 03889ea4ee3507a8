"""Which readings a route has, and where each of them begins."""

from collections.abc import Iterable

from relay.domain.model import Source
from relay.domain.polling import next_poll_ms
from relay.domain.reading.place import Place
from relay.domain.reading.plan import Plan, Reading
from relay.domain.reading.trail import Step, cursor_at, tidied
from relay.outbound.answers import MAX_RETRY_AFTER_S
from relay.pipeline.clock import Clock
from relay.pipeline.route_poll import RoutePoll
from relay.store.readings import Readings

WORTH_IT = 10
"""A trail is shortened when so many entries can go."""


async def settle_places(
    readings: Readings,
    plan: Plan,
    clock: Clock,
    source: Source,
    poll: RoutePoll,
    *,
    asked_for: Iterable[Reading] = (),
) -> None:
    """Give each reading of a route its place, before its first page of a slice. Raises Fenced, or Astray.

    A reading that is new begins where it would be by now. After the operator moved the cursor, the others are where the
    cursor is, at the furthest: rows that it passes again are read again by all of them, and rows that it skipped by
    none. Readings that are not in the settings any more are forgotten. The trail is shortened at the same time.
    `asked_for` are readings that an operator asked for.
    """
    if poll.state.cursor is None:
        return
    now_ms, cursor, poll_s = clock.now_ms(), poll.state.cursor, source.poll_interval_s
    trail = await poll.known_trail(readings, source)
    await _tidy(readings, plan, source, poll, trail, now_ms)
    oldest = min((step.cursor for step in trail), default=cursor)
    planned = {reading.name: reading for reading in plan.readings}
    once = {reading.name: reading for reading in asked_for}
    poll.readings = planned | once
    places: dict[str, Place | None] = dict.fromkeys(poll.places.keys() - poll.readings.keys())
    places |= {name: Place(0, due_ms=now_ms) for name in once if name not in poll.places}
    for name, reading in planned.items():
        kept, every_s = poll.places.get(name), reading.every_s(poll_s)
        if kept is None:
            then = cursor_at(trail, now_ms - reading.back_ms(poll_s))
            due_ms = now_ms + next_poll_ms(every_s, jitter=clock.jitter())
            places[name] = Place(min(oldest if then is None else then, cursor), due_ms=due_ms)
            continue
        latest_s = max(every_s, MAX_RETRY_AFTER_S) if kept.failures else every_s
        place = kept.within(oldest if trail else 0, cursor).due_within(now_ms + next_poll_ms(latest_s, jitter=1.0))
        if place != kept:
            places[name] = place
    if places:
        await poll.put(readings, source, places)


async def _tidy(
    readings: Readings, plan: Plan, source: Source, poll: RoutePoll, trail: list[Step], now_ms: int
) -> None:
    longest_ms = max(reading.back_ms(source.poll_interval_s) for reading in plan.readings)
    followers = [place.after for name, place in poll.places.items() if name in {each.name for each in plan.followers}]
    needed = min(followers, default=poll.state.cursor or 0)
    leaving, moved = tidied(trail, now_ms=now_ms, longest_ms=longest_ms, needed=needed)
    if moved or len(leaving) >= WORTH_IT:
        await readings.tidy(source.uid, poll.state.route, leaving=leaving, moved=moved, token=poll.token)
        poll.trail = None

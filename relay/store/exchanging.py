"""How an exchange is written down for exchange.lua, which lists its operations, and how its answer is read."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from relay.domain.model import EndpointId
from relay.domain.sending.effects import HandIn
from relay.domain.tallies import marks_of
from relay.store import keys
from relay.store.attempts import attempt_size, pack_attempt

Argument = str | bytes | int


class Given(NamedTuple):
    """What a worker got for one lane: its state now, and references that it has claimed."""

    endpoint: EndpointId
    state: str
    """`held`, `claimed` (held from now on), `idle`, `ready`, `parked`, or `lost`."""
    references: list[bytes]
    blocked: dict[str, int]
    """Keys that wait, each with the number of the event that it waits for; of a lane that is claimed."""


class Exchanged(NamedTuple):
    """The answer to an exchange."""

    verdict: Literal["done", "again", "astray", "gone"]
    """Only of one that is done there is more to say."""
    ready: int
    """Lanes that are still ready."""
    last: int
    """Of one that is not done: the number of the session's last call that was."""
    given: list[Given]
    """For each lane that was handed in, in that order, and then for each that was claimed."""


def operations(handed: Sequence[HandIn], *, claim: int, per_lane: int, reports: Collection[str] = ()) -> list[Argument]:
    """The operations of one exchange. `reports` are the types of operational events that operators want."""
    args: list[Argument] = []
    _logs(args, handed)
    for lane in handed:
        _lane(args, lane)
        _reports(args, lane, reports)
    if claim:
        args += ("claim", claim, per_lane)
    return args


def _lane(args: list[Argument], lane: HandIn) -> None:
    args += ("lane", lane.endpoint)
    _results(args, lane)
    if lane.attempts:
        args += ("tried", 2 * len(lane.attempts))
        for each in lane.attempts:
            args += (each.started_at_ms, f"{each.seq}:{each.started_at_ms}")
        marks = marks_of(lane.attempts)
        args += ("tally", 2 * len(marks))
        for mark, count in marks.items():
            args += (mark, count)
    if lane.leaving == "stay":
        args += ("stay", lane.take)
    elif lane.leaving == "park":
        args += ("park", lane.until_ms)
    else:
        args.append("go")


def _reports(args: list[Argument], lane: HandIn, reports: Collection[str]) -> None:
    wanted = [each for each in lane.notable if each[0] in reports]
    if wanted:
        args += ("report", 3 * len(wanted))
        for kind, at_ms, data in wanted:
            args += (kind, at_ms, msgspec.json.encode(data))


def _results(args: list[Argument], lane: HandIn) -> None:
    if lane.ended:
        args += ("ended", len(lane.ended), *lane.ended)
    if lane.unwanted:
        args += ("unwanted", len(lane.unwanted), *lane.unwanted)
    for stored, again, due_ms, key in lane.due:
        args += ("due", stored, again, due_ms, key)
    for stored, again, due_ms, in_order in lane.held:
        args += ("hold", stored, again, due_ms, int(in_order))
    for stored, reason in lane.dead:
        args += ("dead", stored, reason)
    for stored, again in lane.back:
        args += ("back", stored, again)
    for stored, key in lane.behind:
        args += ("behind", stored, key)
    for key in lane.freed:
        args += ("free", key)


def _logs(args: list[Argument], handed: Iterable[HandIn]) -> None:
    groups: dict[int, list[Argument]] = {}
    sizes: dict[int, int] = {}
    for lane in handed:
        for attempt in lane.attempts:
            record, bucket = pack_attempt(attempt), attempt.seq // keys.ATTEMPTS_PER_BUCKET
            name = f"{attempt.seq}:{lane.endpoint}:{attempt.started_at_ms}"
            groups.setdefault(bucket, []).extend((name, record))
            sizes[bucket] = sizes.get(bucket, 0) + attempt_size(name, record)
    for bucket, fields in groups.items():
        args += ("log", bucket, sizes[bucket], len(fields), *fields)


def read_exchanged(answer: Sequence[Any]) -> Exchanged:
    """Read the answer of exchange.lua."""
    verdict, number, *given = answer
    if verdict != b"done":
        return Exchanged(verdict.decode(), 0, int(number), [])
    return Exchanged("done", int(number), 0, read_given(given))


def read_given(entries: Iterable[Sequence[Any]]) -> list[Given]:
    """Read what a script says of lanes."""
    return [
        Given(EndpointId(endpoint.decode()), state.decode(), list(references), _blocked(waits))
        for endpoint, state, references, waits in entries
    ]


def _blocked(waits: Sequence[bytes]) -> dict[str, int]:
    if not waits:
        return {}
    pairs = zip(waits[::2], waits[1::2], strict=True)
    # A damaged entry blocks nothing: what waits behind it is released with the next change of the order.
    return {key.decode(): int(number) for key, number in pairs if key.isascii() and number.isdigit()}

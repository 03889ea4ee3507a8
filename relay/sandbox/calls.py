"""What a phone call writes: its legs while it lasts, the call when it is over, and its rating later.

Progress rows come before the call's own (hazard H26), the call's own carries the time at which it began although it is
written at its end (hazard H12), and a call that was answered may still have no talk time (hazard H25).
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from relay.sandbox.catalogue import (
    CONNECTED,
    HANG_UPS,
    NOT_CONNECTED,
    NOTES,
    NUMBER_GROUPS,
    OPERATORS,
    QUALIFIED,
    RATED_WELL,
    RATINGS,
    REALM,
)
from relay.sandbox.columns import SALE, SHARED, Row

Stamp = Callable[[float], str]
"""Seconds since the start of the made time -> the upstream's text for it."""
Step = tuple[float, Row]
"""A row, and when it is written, in seconds since the start of the made time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Course:
    """How a call went, in whole seconds."""

    ring: int
    ivr: int
    queue: int
    talk: int

    @property
    def length(self) -> int:
        return self.ivr + self.queue + self.talk


def call_steps(random: Random, caller: Row, begins_s: float, *, stamp: Stamp) -> Iterator[Step]:
    """Make the rows of one call.

    `caller` has the columns that the call's own row starts from: a visitor's, or those of somebody who dialled a
    number that no page shows.
    """
    course = _course(random)
    legs = {**SHARED, **SALE, **{name: caller[name] for name in caller.keys() & SHARED.keys()}, **_numbers(random)}
    legs |= {"txr": str(random.randrange(10**8, 10**9)), "callDirection": "in", "pageTitle": "", "href": "", "vref": ""}
    picked_up = begins_s + course.ring + course.ivr + course.queue
    over = begins_s + course.ring + course.length
    waits = {"ivrDuration": str(course.ivr), "queueDuration": str(course.queue)}
    yield picked_up, {**legs, **waits, "act": "callBlegStart", "vid": "", "triggerDatetime": stamp(picked_up)}
    if course.talk and random.random() < 0.5:
        user = {"operatorRef": random.choice(OPERATORS), "operatorRealm": REALM}
        legs |= user
        yield picked_up, {**legs, **waits, "act": "callUser", "triggerDatetime": stamp(picked_up)}
    yield over, {**legs, **waits, "act": "callAlegStop", "vid": "", "triggerDatetime": stamp(over)}
    ended = {**caller, **legs, **waits, **_ending(random, course), "act": "call", "triggerDatetime": stamp(begins_s)}
    if random.random() < 0.15:
        ended["notes"] = notes(random, at=stamp(over))
    yield over + 1, ended
    if course.talk and random.random() < 0.2:
        rated = over + random.uniform(20, 600)
        yield rated, _rating(random, legs, at=stamp(rated))


def notes(random: Random, *, at: str) -> str:
    """Make the text of a `notes` column: JSON inside a string, of operators' own words (hazard H1)."""
    return json.dumps(
        [{"note": text, "createDatetime": at} for text in random.sample(NOTES, random.choice((1, 1, 2)))],
        ensure_ascii=False,
    )


def _course(random: Random) -> _Course:
    answered = random.random() < 0.75
    return _Course(
        ring=random.randrange(2, 25),
        ivr=random.choice((0, 4, 9)),
        queue=random.choice((0, 0, 0, 12, 45)),
        talk=int(random.expovariate(1 / 150)) + 3 if answered else 0,
    )


def _numbers(random: Random) -> Row:
    dgrp, name, ref = random.choice(NUMBER_GROUPS)
    tracking = f"020794600{random.randrange(100):02}"
    mobile = random.randrange(1000)
    source = random.choices(
        (f"07700900{mobile:03}", f"+447700900{mobile:03}", "anonymous", f"test.user{mobile % 9}"), (60, 30, 7, 3)
    )[0]
    return {
        "dgrp": dgrp,
        "dgrpName": name,
        "dgrpRef": ref,
        "num": tracking,
        "dialledPhoneNumber": tracking,
        "srcPhoneNumber": source,
        "destPhoneNumber": random.choice((f"01632960{mobile:03}", f"sales@{REALM}")),
        "algo": random.choice(("", "failsafe")),
        "callRatingId": "1",
    }


def _ending(random: Random, course: _Course) -> Row:
    row = {
        "callDuration": str(course.length),
        "bridgeDuration": str(course.talk),
        "ringTime": str(course.ring),
        "callStage": "bridge" if course.talk else random.choice(("ring", "ivr", "queue", "voicemail")),
        "callState": f"{'NORMAL_CLEARING' if course.talk else random.choice(HANG_UPS)}_{random.choice('AB')}",
        "rec": "1" if course.talk else "0",
        "outcomeType": "C",
        "ppcAssisted": random.randrange(2),
        "lands": random.randrange(3),
    }
    if random.random() < 0.6:
        goal = NOT_CONNECTED if not course.talk else QUALIFIED if course.talk >= 60 else CONNECTED
        row |= goal | {"goalValue": "25.00", "goalCurrency": random.choice(("GBP", ""))}
    if course.talk and random.random() < 0.4:
        positive, negative = random.randrange(9), random.randrange(9)
        score = str(20 * positive - 30 * negative)
        row |= {"callTranscription": "1", "transcriptionConfidence": str(random.randrange(60, 100))}
        row |= {"callKeywordSpotting": "1", "totalKeywordScore": score, "totalContactKeywordScore": score}
        row |= {"contactPositiveKeywordCount": str(positive), "contactNegativeKeywordCount": str(negative)}
    return row


def _rating(random: Random, legs: Row, *, at: str) -> Row:
    rating = random.choice(RATINGS)
    row = {**legs, "act": "callRate", "triggerDatetime": at, "callRating": rating}
    # A rating may carry money, and still is no transaction (infinity-api.md 4.1).
    return row | RATED_WELL | {"txv": "49.00", "txc": "GBP"} if rating in {"Sale", "Lead"} else row

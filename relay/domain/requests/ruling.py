"""Verdict rules: what an endpoint's owner says that an answer means."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from relay.domain.requests.model import RuledVerdict, VerdictRule
from relay.domain.retrying import retry_after_ms

READ_BYTES = 256 * 1024
"""How much of an answer rules and expressions see."""
STATUS = re.compile(r"[2-5](?:[0-9]{2}|xx)")
POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)*")
_NOTHING = object()
MOST_DELAY_MS = 24 * 3_600_000


class Ruling(msgspec.Struct, frozen=True):
    """What a rule says about an answer."""

    verdict: RuledVerdict
    delay_ms: int | None = None
    """Of `later`: how long; None: as the retry schedule says."""
    pauses: bool = False
    rule: int = 0
    """Which rule it was, from 0."""


class Answer:
    """An answer, as rules see it. Its JSON is read when the first rule asks for it."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """`headers` by their names in lower case; `body` is its start."""
        self.status, self.headers, self.body = status, headers, body
        self._json: Any = _NOTHING

    def at(self, pointer: str) -> Any:
        """What a JSON Pointer leads to; None if that is nothing."""
        if self._json is _NOTHING:
            try:
                self._json = msgspec.json.decode(self.body)
            except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: bytes that are no UTF-8.
                self._json = None
        value = self._json
        for name in pointer.split("/")[1:]:
            value = _step(value, name.replace("~1", "/").replace("~0", "~"))
        return value


def rule_on(rules: Sequence[VerdictRule], answer: Answer, *, now_ms: int) -> Ruling | None:
    """What the first rule that fits says; None: none fits, and the relay's own rules hold."""
    for at, rule in enumerate(rules):
        if _fits(rule, answer):
            return Ruling(rule.verdict, _delay_ms(rule, answer, now_ms), rule.pauses, at)
    return None


def _fits(rule: VerdictRule, answer: Answer) -> bool:
    status = str(answer.status)
    if not (status == rule.status or (rule.status.endswith("xx") and status[0] == rule.status[0])):
        return False
    if rule.text is not None and rule.text.encode() not in answer.body:
        return False
    if rule.pointer is None:
        return True
    found = answer.at(rule.pointer)
    if rule.equals is msgspec.UNSET:
        return found is not None
    return found == rule.equals and isinstance(found, bool) == isinstance(rule.equals, bool)


def _delay_ms(rule: VerdictRule, answer: Answer, now_ms: int) -> int | None:
    if rule.delay_header is not None:
        asked_ms = retry_after_ms(answer.headers.get(rule.delay_header.lower()), now_ms=now_ms)
        if asked_ms is not None:
            return min(asked_ms, MOST_DELAY_MS)
    return None if rule.delay_s is None else min(round(rule.delay_s * 1000), MOST_DELAY_MS)


def _step(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) <= 6 and int(name) < len(value):
        return value[int(name)]
    return None

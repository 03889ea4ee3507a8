"""Lines that repeat: the first is written at once, and then one a minute with how often it happened (`repeated`).

Two lines are the same if they have the same event and name the same things: see `IDENTITY`. Lines at level `debug`,
and those of `EACH`, are all written.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from relay.domain.masking import cut
from relay.domain.sampling import Sampling

IDENTITY: Final = (
    "source", "route", "reading", "app", "endpoint", "address", "status", "reason", "verdict", "kind", "chore", "task",
    "object",
    "setting",
)  # fmt: skip
"""Fields that say what a line is about. The other fields of lines that repeat are those of the last one."""
EACH: Final = frozenset({"api_change", "recording_download", "signing_key_shown"})
"""Records of what somebody did."""
REPEATED: Final = "repeated"
NAME_MOST: Final = 200

_Line = tuple[str, EventDict]
"""The name of a level, and the fields."""


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Repeats:
    """A processor of structlog, and a filter of the standard library's handlers."""

    def __init__(self, now_ms: Callable[[], int] = _now_ms) -> None:
        self._sampling: Sampling[_Line] = Sampling()
        self._now_ms = now_ms
        # Libraries write from threads of their own.
        self._lock = threading.Lock()

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Let a line of the relay pass. Raises DropEvent."""
        name = str(event.get("event"))
        if method == "debug" or name in EACH or REPEATED in event:
            return event
        if self._is_first((name, *map(_plain, map(event.get, IDENTITY))), (method, event), group=cut(name, NAME_MOST)):
            return event
        # A traceback holds on to everything that its frames do.
        event.pop("exc_info", None)
        raise structlog.DropEvent

    def is_first(self, record: logging.LogRecord) -> bool:
        """Whether a line of a library is to be written: lines of the same form are the same."""
        if record.levelno <= logging.DEBUG:
            return True
        text, form = record.getMessage(), str(record.msg)
        key = (record.name, cut(text if form == "%s" else form, NAME_MOST))
        return self._is_first(
            key, (record.levelname.lower(), {"event": text, "logger": record.name}), group=record.name
        )

    def flush(self, *, everything: bool = False) -> None:
        """Write the counts that are due; or all of them, because the process ends."""
        now_ms = self._now_ms()
        with self._lock:
            counted = self._sampling.ended(now_ms + (1 << 40) if everything else now_ms)
        for (method, fields), times in counted:
            line = {name: value for name, value in fields.items() if name != "event"}
            level = logging.getLevelNamesMapping().get(method.upper(), logging.ERROR)
            structlog.get_logger().log(level, fields["event"], **line, **{REPEATED: times})

    def _is_first(self, key: tuple[Any, ...], line: _Line, *, group: str) -> bool:
        with self._lock:
            return self._sampling.is_first(key, line, self._now_ms(), group=group)


def _plain(value: Any) -> str | int | None:
    return value if value is None or isinstance(value, str | int) else str(type(value))

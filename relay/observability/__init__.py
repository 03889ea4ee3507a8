"""Logs: one line per thing that happened, as JSON or as text, on standard error; and what must never stand in one.

Write `structlog.get_logger().info("route_polled", rows=12)`: a snake_case event and plain values. Rows, bodies and
headers do not belong in a log at all; `mask` is the second wall for what slips through: secrets, phone numbers, control
characters, and texts of any length. `repeats` counts lines that repeat. docs/logs.md lists all events.
"""

import asyncio
import logging
import platform
import re
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.domain.masking import HIDDEN, cut, masked_numbers, printable
from relay.domain.model import Secret
from relay.observability.repeats import Repeats

_SECRET_NAME = re.compile(
    r"(secrets?|passw(or)?d|token|authorization|cookie|signature|(api|admin|encryption|private)_?keys?|redis_url)\Z",
    re.I,
)
_SECRET_TEXT = re.compile(
    r"(?P<whs>whs(?:ec|k)_|rl[kp]_)[\w+/=-]+|(?P<scheme>(?:Bearer|Basic|ApiKey) )[\w.~+/=:-]+|(?P<userinfo>://)[^/@\s]*@",
    re.I,
)
_PRIVATE_TEXT = re.compile(
    # What follows the host of a URL, also as urllib3 puts it, and the name in front of the @ of a mail address.
    r"(?P<said>\bwith url: )[/?]\S*|(?P<origin>\bhttps?://[^\s/?#\"'<>]{1,300})[/?#][^\s\"'<>]*"
    r"|(?<![\w.+/:-])[\w.+-]{1,64}(?P<domain>@[\w-]{1,64}\.\w)",
    re.I,
)
_PLAIN_NAMES = frozenset({"row_id", "timestamp", "request_id"})
"""Fields whose digits are ours, or an id that a client gave a request: a rowId looks like a phone number."""
_TRACEBACKS = frozenset({"exception", "stack"})
"""Fields of several lines. All but the first are indented, so that none can be taken for a line of the log."""
LONGEST_LINE: Final = 500
MOST_LINES: Final = 200
LONGEST_NAME: Final = 100
MOST_ENTRIES: Final = 50
"""Of a list or an object."""
DEEPEST: Final = 5
_QUIET = ("httpx", "httpcore", "urllib3", "arq", "uvicorn", "uvicorn.error", "uvicorn.access")
"""They would print every URL, every job, or how to press Ctrl-C."""
POD: Final = platform.node()
"""Which process wrote a line: the name of the pod, or of the machine."""
FLUSH_S: Final = 5.0
_repeats = Repeats()


def setup_logging(log_format: str, level: str) -> None:
    """Send the relay's and all libraries' logs through one chain: `json` or `text`, from `level` (a name) upwards."""
    global _repeats  # noqa: PLW0603 - as the configuration of a process's logs is
    _repeats = repeats = Repeats()
    render = _json if log_format == "json" else _console()
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        repeats,
        _with_pod,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*chain, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *(each for each in chain if each is not repeats)],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    # Not in the chain of libraries: what is dropped in there is reported as a fault of the log.
    handler.addFilter(repeats.is_first)
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for name in _QUIET:
        quiet = logging.getLogger(name)
        quiet.setLevel(max(number, logging.WARNING))
        # A server that was started by uvicorn's command has handlers of its own.
        quiet.handlers.clear()
        quiet.propagate = True


def catch_strays() -> None:
    """Send through the log what Python prints itself: the exception that ends a process or a thread, and warnings."""

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        structlog.get_logger().critical("process_failed", exc_info=(kind, error, trace))

    def thread_ended(args: threading.ExceptHookArgs) -> None:
        structlog.get_logger().error("thread_failed", exc_info=args.exc_value)

    sys.excepthook, threading.excepthook = ended, thread_ended
    sys.unraisablehook = lambda args: structlog.get_logger().error("error_ignored", exc_info=args.exc_value)
    logging.captureWarnings(True)


@asynccontextmanager
async def counting_repeats() -> AsyncIterator[None]:
    """Have the counts of lines that repeat written for as long as this is used, and at the end those that are left."""

    async def run() -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            _repeats.flush()

    task = asyncio.create_task(run(), name="repeats")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        _repeats.flush(everything=True)


def _with_pod(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["pod"] = POD
    return event


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make an event fit to be seen.

    Secrets are hidden (by the field's name or the text's form), and so are phone numbers; control characters are
    escaped, texts, lists and objects have bounds, and other things show their class only.
    """
    return {
        name if name.isprintable() else _name(name): value if name.startswith("_") else _masked(name, value, 0)
        for name, value in event.items()
    }


def _masked(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else f"<int of {value.bit_length()} bits>"
    if isinstance(value, Secret) or _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, str | Path):
        return _text(name, str(value))
    if isinstance(value, BaseException):
        return _scrubbed(cut(f"{type(value).__name__}: {value}"))
    if isinstance(value, dict | list | tuple | set | frozenset) and depth < DEEPEST:
        return _entries(name, value, depth + 1)
    return f"<{type(value).__name__}>"


def _entries(name: str, value: Any, depth: int) -> Any:
    some = list(islice(value, MOST_ENTRIES))
    more = len(value) - len(some)
    if isinstance(value, dict):
        entries = {_name(str(key)): _masked(str(key), value[key], depth) for key in some}
        return entries | {"…": f"{more} more"} if more else entries
    return [_masked(name, inner, depth) for inner in some] + ([f"… {more} more"] if more else [])


def _name(name: str) -> str:
    return _scrubbed(cut(name, LONGEST_NAME))


def _text(name: str, text: str) -> str:
    if name in _TRACEBACKS:
        lines = [cut(line, LONGEST_LINE) for line in text.split("\n")]
        if len(lines) > MOST_LINES:
            # The beginning says where, the end what went wrong.
            lines[MOST_LINES // 2 : -MOST_LINES // 2] = ["…"]
        return "\n  ".join(map(_scrubbed, lines))
    return printable(cut(text)) if name in _PLAIN_NAMES else _scrubbed(cut(text))


def _scrubbed(text: str) -> str:
    text = _SECRET_TEXT.sub(_shown_part, text)
    if "://" in text or "@" in text or " url: " in text:
        text = _PRIVATE_TEXT.sub(_public_part, text)
    return printable(masked_numbers(text))


def _public_part(found: "re.Match[str]") -> str:
    before = found["said"] or found["origin"]
    return f"{before}/{HIDDEN}" if before else HIDDEN + found["domain"]


def _shown_part(found: "re.Match[str]") -> str:
    tail = "@" if found["userinfo"] else ""
    return (found["whs"] or found["scheme"] or found["userinfo"]) + HIDDEN + tail


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return msgspec.json.encode(event).decode()


def _console() -> Processor:
    # Plain tracebacks: the pretty ones print local variables, and with them rows.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )

"""Logs: one line per thing that happened, as JSON or as text, on standard error; and what must never stand in one.

Write `structlog.get_logger().info("route_polled", rows=12)`: a snake_case event and plain values. Rows, bodies and
headers do not belong in a log at all; `mask` is the second wall for what slips through.
"""

import logging
import re
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.domain.model import Secret

HIDDEN: Final = "••••"

_SECRET_NAME = re.compile(
    r"(secrets?|passw(or)?d|token|authorization|cookie|signature|(api|admin|encryption|private)_?keys?|redis_url)$",
    re.I,
)
_SECRET_TEXT = re.compile(
    r"(?P<whs>whs(?:ec|k)_)[\w+/=-]+|(?P<scheme>\b(?:Bearer|Basic|ApiKey) )[\w.~+/=:-]+|(?P<userinfo>://)[^/@\s]*@",
    re.I,
)
# Nine digits or more, as people write numbers. Dates, addresses, UUIDs and words with digits in them are none.
_PHONE = re.compile(r"(?<![\w.-])\+?\(?\d(?:[ ()/-]{0,2}\d){6,13}(\d\d)(?![\w:-])")
_PLAIN_NAMES = frozenset({"row_id", "timestamp"})
"""Fields whose digits are ours: a rowId looks like a phone number."""
_QUIET = ("httpx", "httpcore", "arq", "uvicorn")
"""They would print every URL, every job, or how to press Ctrl-C."""


def setup_logging(log_format: str, level: str) -> None:
    """Send the relay's and all libraries' logs through one chain: `json` or `text`, from `level` (a name) upwards."""
    render = _json if log_format == "json" else _console()
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *chain],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide secrets (by the field's name or the text's form) and phone numbers, and show objects by their class only."""
    return {name: value if name.startswith("_") else _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Secret) or _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, str | Path):
        return str(value) if name in _PLAIN_NAMES else _scrubbed(str(value))
    if isinstance(value, dict):
        return {str(key): _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(name, inner) for inner in value]
    if isinstance(value, BaseException):
        return _scrubbed(f"{type(value).__name__}: {value}")
    return f"<{type(value).__name__}>"


def _scrubbed(text: str) -> str:
    text = _SECRET_TEXT.sub(_shown_part, text)
    return _PHONE.sub(rf"{HIDDEN}\1", text)


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

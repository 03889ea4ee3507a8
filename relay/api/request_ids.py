"""The id of each request, in its answer and in all log lines that it causes.

A client can send its own as `x-request-id` or `svix-req-id`, as Svix's clients do, and so find its request in the log.
"""

import re
from typing import Any, Final

from litestar.types import Scope

from relay.pipeline.clock import Clock
from relay.store.identifiers import new_id

PREFIX: Final = "req_"
NAMES: Final = (b"x-request-id", b"svix-req-id")
"""Headers of requests and of answers."""
_FORM = re.compile(rb"[0-9A-Za-z._-]{1,64}")
_KEPT: Final = "request_id"


def now_ms(scope: Scope) -> int:
    """The time of the application's clock."""
    # The framework copies middleware and everything in it: a clock in there would be another one.
    clock: Clock = scope["litestar_app"].state.clock
    return clock.now_ms()


def request_id(scope: Scope) -> str:
    """The id of a request: what the client sent, or a new one."""
    state: dict[str, Any] = scope.setdefault("state", {})
    if _KEPT not in state:
        given = dict(scope["headers"])
        own = next((given[name] for name in NAMES if _FORM.fullmatch(given.get(name, b""))), None)
        state[_KEPT] = own.decode() if own else new_id(PREFIX, now_ms=now_ms(scope))
    return str(state[_KEPT])

"""The sandbox as an application."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import NotFoundException

from relay.sandbox.config import SandboxConfig
from relay.sandbox.control import control
from relay.sandbox.refusals import BadParameter, Refusal
from relay.sandbox.reports import reports
from relay.sandbox.upstream import Upstream


def create_sandbox(config: SandboxConfig, *, clock: Callable[[], float] = time.monotonic) -> Litestar:
    """Make the application. `clock` gives seconds that only grow; rows and changes come by it.

    Raises ValueError for a file whose first lines are no rows.
    """
    upstream = Upstream(config, clock=clock)

    def refuse(_request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
        status = config.error_status if isinstance(refusal, BadParameter) else refusal.status
        return _message(refusal.message, status=status, headers=refusal.headers)

    return Litestar(
        [reports, control],
        dependencies={"upstream": Provide(lambda: upstream, sync_to_thread=False)},
        exception_handlers={Refusal: refuse, NotFoundException: _not_found},
        openapi_config=None,
        logging_config=None,
    )


def _not_found(_request: Request[Any, Any, Any], _error: NotFoundException) -> Response[bytes]:
    return _message("not found", status=404)


def _message(text: str, *, status: int, headers: dict[str, str] | None = None) -> Response[bytes]:
    body = msgspec.json.encode(text) + b"\n"
    return Response(body, status_code=status, headers=headers, media_type="application/json")

"""A worker that dies when it sends one certain row: `python -m tests.fault.poison_worker`. Nothing else is changed."""

import os

import httpx

from relay import wiring
from relay.config import load
from relay.outbound.egress import Egress
from relay.outbound.http.messages import WireRequest
from workers.main import run

POISON = b'"c_key":"poison"'


class Deadly(Egress):
    """The transport, but for one body."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """End the process at once, as a fault in native code would."""
        if isinstance(request, WireRequest) and POISON in request.body:
            os._exit(139)
        return await super().handle_async_request(request)


if __name__ == "__main__":
    wiring.Egress = Deadly  # type: ignore[misc]
    raise SystemExit(run(load(os.environ)))

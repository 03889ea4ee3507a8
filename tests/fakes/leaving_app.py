"""`python -m tests.fakes.leaving_app PORT CUT`: a process that serves as the API does, with other times at its end."""

import asyncio
import sys
from typing import Any

from relay import bounded_clients, serving


async def app(scope: Any, receive: Any, send: Any) -> None:
    """`/soon` answers after half a second, `/endless` never ends its answer, and the others read the whole body."""
    while scope["path"] == "/body":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while scope["path"] == "/endless":
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.sleep(0.05)
    if scope["path"] == "/soon":
        await asyncio.sleep(0.5)
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    cut_s = float(sys.argv[2])
    bounded_clients.LAST_REQUEST_S, bounded_clients.CUT_S = cut_s / 2, cut_s
    serving.DRAIN_S = round(cut_s) + 3
    listener = serving.open_port("127.0.0.1", int(sys.argv[1]), setting="PORT")
    sys.exit(asyncio.run(serving.listen(app, listener, lifespan=False)))

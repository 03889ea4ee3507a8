"""How busy this worker is, measured every second. The other workers hear of it while it has room for more work."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from relay.domain.sending.sharing import Sharing
from relay.errors import StoreRefused, StoreUnavailable
from relay.store.notices import Notices

MEASURE_S = 1.0


async def share(sharing: Sharing, notices: Notices, *, session: str, rows_taken_in: Callable[[], int]) -> None:
    """Runs until cancelled. `rows_taken_in` gives how many rows this worker has committed since its start."""
    while True:
        began_s, used_s, rows = time.monotonic(), time.thread_time(), rows_taken_in()
        await asyncio.sleep(MEASURE_S)
        load = (time.thread_time() - used_s) / (time.monotonic() - began_s)
        sharing.measured(load, takes_rows_in=rows_taken_in() > rows)
        if sharing.has_room():
            # A hint that is lost costs nothing: the next one comes in a second.
            with suppress(StoreUnavailable, StoreRefused):
                await notices.tell_room(session)

"""When time alone changes something for an endpoint."""

from heapq import heappop, heappush
from itertools import count

from relay.domain.sending.endpoint import EndpointMachine


class Alarms:
    """At most one alarm of each endpoint counts: the earliest."""

    def __init__(self) -> None:
        self._alarms: list[tuple[int, int, EndpointMachine]] = []
        self._numbers = count()

    def next_ms(self) -> int:
        """When the first one is due; 0: there is none."""
        return self._alarms[0][0] if self._alarms else 0

    def clear(self) -> None:
        """Forget all of them: they are set again."""
        self._alarms.clear()

    def set(self, machine: EndpointMachine, now_ms: int) -> None:
        """Set the alarm of an endpoint, if it waits for a time, and for an earlier one than it did."""
        wake_ms = machine.wake_ms()
        if wake_ms and not now_ms < machine.alarm_ms <= wake_ms:
            machine.alarm_ms = max(wake_ms, now_ms + 1)
            heappush(self._alarms, (machine.alarm_ms, next(self._numbers), machine))

    def due(self, now_ms: int) -> EndpointMachine | None:
        """An endpoint whose time has come, once."""
        while self._alarms and self._alarms[0][0] <= now_ms:
            at_ms, _, machine = heappop(self._alarms)
            # An alarm that was set for an earlier time has no effect any more.
            if machine.alarm_ms == at_ms:
                machine.alarm_ms = 0
                return machine
        return None

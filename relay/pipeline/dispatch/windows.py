"""The windows of all endpoints in one worker: one for each endpoint, however many lanes it has."""

from collections import OrderedDict

from relay.domain.model import Endpoint, EndpointId
from relay.domain.windows import Window

REMEMBERED = 10_000


class SharedWindow(Window):
    """An endpoint's window, with how many callbacks are in flight in it."""

    __slots__ = ("flying",)

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.flying = 0


class Windows:
    """Windows by endpoint; the ones used longest ago are forgotten, and start anew."""

    def __init__(self) -> None:
        self._windows: OrderedDict[EndpointId, SharedWindow] = OrderedDict()

    def of(self, endpoint: Endpoint) -> SharedWindow:
        """The window of an endpoint, with the maximum that the endpoint has now."""
        known = self._windows.pop(endpoint.id, None)
        if known is None:
            known = SharedWindow(endpoint.max_in_flight)
        known.limit(endpoint.max_in_flight)
        self._windows[endpoint.id] = known
        if len(self._windows) > REMEMBERED:
            self._windows.popitem(last=False)
        return known

"""The windows of all endpoints in one worker: one for each endpoint, however many lanes it has."""

from collections import OrderedDict

from relay.domain.model import Endpoint, EndpointId
from relay.domain.windows import Window

REMEMBERED = 10_000


class Windows:
    """Windows by endpoint; the ones used longest ago are forgotten, and start anew."""

    def __init__(self) -> None:
        self._windows: OrderedDict[EndpointId, tuple[int, Window]] = OrderedDict()

    def of(self, endpoint: Endpoint) -> Window:
        """The window of an endpoint; a new one when its maximum was changed."""
        known = self._windows.pop(endpoint.id, None)
        if known is None or known[0] != endpoint.max_in_flight:
            known = (endpoint.max_in_flight, Window(endpoint.max_in_flight))
        self._windows[endpoint.id] = known
        if len(self._windows) > REMEMBERED:
            self._windows.popitem(last=False)
        return known[1]

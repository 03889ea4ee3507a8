"""The machines of endpoints: one is made when an endpoint is first heard of, and forgotten when many others were."""

from collections import OrderedDict

from relay.domain.model import EndpointId
from relay.domain.sending.endpoint import EndpointMachine

REMEMBERED = 10_000
"""Endpoints of which no lane is held, and whose window is still known."""


class Machines(OrderedDict[EndpointId, EndpointMachine]):
    """Machines by endpoint, the one that was asked for last at the end."""

    def __init__(self, *, session: str) -> None:
        super().__init__()
        self._session = session

    def of(self, endpoint: EndpointId) -> EndpointMachine:
        """The machine of an endpoint; a new one, if it has none."""
        if endpoint not in self:
            self[endpoint] = EndpointMachine(endpoint, session=self._session)
        self.move_to_end(endpoint)
        return self[endpoint]

    def forget_oldest(self, *, held: int) -> None:
        """Forget those that were not asked for for the longest time; `held` lanes keep theirs."""
        while len(self) > REMEMBERED + held:
            endpoint, machine = self.popitem(last=False)
            if machine.lanes or machine.flying:
                self[endpoint] = machine
                return

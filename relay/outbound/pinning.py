"""From a name to the one vetted address that it is dialled at."""

from relay.domain.addresses import Denied, EgressPolicy
from relay.outbound.clients import Pin
from relay.outbound.resolver import MAX_NAMES, Answer, Resolver


class AddressRefused(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """One of the name's addresses is forbidden, so the name is: an attacker's name may answer anything next."""


class Pins:
    """Keeps the pin of each name: judged whenever its look-up is renewed, and moved only when it has to be."""

    def __init__(self, resolver: Resolver, policy: EgressPolicy) -> None:
        self._resolver = resolver
        self._policy = policy
        self._pins: dict[str, Pin] = {}

    def peek(self, host: str, now: float) -> Pin | None:
        """The pin, if its last look-up still holds and it has a client."""
        pin = self._pins.get(host)
        if pin is None or pin.client is None or self._resolver.peek(host, now) is not pin.answer:
            return None
        return pin

    async def pin(self, host: str) -> Pin:
        """Look up, judge and pin a name. Raises LookupFailed and AddressRefused."""
        answer = await self._resolver.resolve(host)
        known = self._pins.get(host)
        if known is not None and known.answer is answer:
            return known
        listed = self._judge(answer)
        if known is not None and known.address in answer.addresses:
            known.answer, known.listed = answer, listed
            return known
        return self._keep(Pin(host, answer.addresses[0], answer, listed))

    def move_on(self, pin: Pin) -> Pin | None:
        """Pin the name to the next of its addresses, because this one cannot be reached; None: there is no other."""
        current = self._pins.get(pin.host)
        if current is not None and current.address != pin.address:
            return current if current.answer is pin.answer else None
        addresses = pin.answer.addresses
        following = addresses[(addresses.index(pin.address) + 1) % len(addresses)]
        if following == pin.address:
            return None
        return self._keep(Pin(pin.host, following, pin.answer, pin.listed))

    def _judge(self, answer: Answer) -> bool:
        verdicts = [self._policy.judge(address) for address in answer.addresses]
        listed = True
        for verdict in verdicts:
            if isinstance(verdict, Denied):
                raise AddressRefused(verdict.reason)
            listed = listed and verdict.listed
        return listed

    def _keep(self, pin: Pin) -> Pin:
        self._pins.pop(pin.host, None)
        self._pins[pin.host] = pin
        while len(self._pins) > MAX_NAMES:
            del self._pins[next(iter(self._pins))]
        return pin

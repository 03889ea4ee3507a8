"""From a name to the vetted addresses that may be dialled for it."""

from dataclasses import dataclass

from relay.domain.addresses import Address, Denied, EgressPolicy
from relay.outbound.resolver import MAX_NAMES, Answer, Resolver


class AddressRefused(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """One of the name's addresses is forbidden, so the name is: an attacker's name may answer anything next."""


@dataclass(frozen=True, slots=True, eq=False)
class Vetted:
    """A name's addresses, all of them judged, the one to dial first in front."""

    addresses: tuple[Address, ...]
    answer: Answer
    listed: bool
    """Whether every address is in the policy's `allow`."""


class Vetting:
    """Judges each answer once: as long as a lookup holds, so does its judgement."""

    def __init__(self, resolver: Resolver, policy: EgressPolicy) -> None:
        self._resolver = resolver
        self._policy = policy
        self._vetted: dict[str, Vetted] = {}

    def peek(self, host: str, now: float) -> Vetted | None:
        """The vetted addresses, if the last lookup still holds at `now`, the loop's time."""
        vetted = self._vetted.get(host)
        if vetted is None or self._resolver.peek(host, now) is not vetted.answer:
            return None
        return vetted

    async def vet(self, host: str) -> Vetted:
        """Look up and judge a name. Raises LookupFailed and AddressRefused."""
        answer = await self._resolver.resolve(host)
        known = self._vetted.get(host)
        if known is not None and known.answer is answer:
            return known
        listed = self._judge(answer)
        addresses = answer.addresses
        if known is not None and known.addresses[0] in addresses:
            # An address that worked stays in front.
            addresses = _with_first(addresses, known.addresses[0])
        return self._keep(host, Vetted(addresses, answer, listed))

    def prefer(self, host: str, vetted: Vetted, address: Address) -> None:
        """Begin with an address from now on, because the one in front could not be reached."""
        if address != vetted.addresses[0] and self._vetted.get(host) is vetted:
            self._keep(host, Vetted(_with_first(vetted.addresses, address), vetted.answer, vetted.listed))

    def _judge(self, answer: Answer) -> bool:
        listed = True
        for address in answer.addresses:
            verdict = self._policy.judge(address)
            if isinstance(verdict, Denied):
                raise AddressRefused(verdict.reason)
            listed = listed and verdict.listed
        return listed

    def _keep(self, host: str, vetted: Vetted) -> Vetted:
        self._vetted.pop(host, None)
        self._vetted[host] = vetted
        while len(self._vetted) > MAX_NAMES:
            del self._vetted[next(iter(self._vetted))]
        return vetted


def _with_first(addresses: tuple[Address, ...], first: Address) -> tuple[Address, ...]:
    return (first, *(address for address in addresses if address != first))

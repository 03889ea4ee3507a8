"""What the core asks of a driver. To add one: a class here, and a branch in relay.pipeline.dispatch.dispatcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from relay.domain.model import Attempt, Endpoint, EndpointId, SourceUid
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.rights import Wanted

Verb = Literal["failing", "open", "rest", "probe", "well"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Make an exchange with a source's part of the store: `urgent`, or when a few results have gathered."""

    source: SourceUid
    urgent: bool


@dataclass(frozen=True, slots=True)
class Change:
    """Change what the store remembers of an endpoint, and put in what it says then: `Core.learnt`."""

    endpoint: EndpointId
    verb: Verb
    opens: int = 0
    """How often the breaker was open as far as this worker knew: an opening that others did counts once."""
    until_ms: int = 0
    """Since when it fails, or until when it rests."""


@dataclass(frozen=True, slots=True)
class FetchRights:
    """Fetch the right to send callbacks, and tell the store of those that are over: `Core.may_send`."""

    endpoint: EndpointId
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Announce:
    """Note in the store that a delivery which was in flight at a crash is about to be sent: `Core.announced`."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Disable:
    """Disable an endpoint for good, with a reason. Put in `Core.not_disabled` if that fails."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Unpark:
    """Let a lane go on that was put aside while its endpoint was off, and is on by now."""

    source: SourceUid
    endpoint: EndpointId


Effect = Exchange | Change | FetchRights | Announce | Disable | Unpark


@dataclass(slots=True)
class HandIn:
    """What a worker hands in for one lane that it holds: results first, then what becomes of the lane.

    References are in their stored form. What is no longer in flight in the store is passed over there.
    """

    endpoint: EndpointId
    ended: list[bytes] = field(default_factory=list)
    """What the receiver has confirmed."""
    unwanted: list[bytes] = field(default_factory=list)
    """What the endpoint does not want."""
    due: list[tuple[bytes, str, int, str]] = field(default_factory=list)
    """Reference, the next one, the ms when it is due, and the key whose later events wait for it, or ''."""
    held: list[tuple[bytes, str, int, bool]] = field(default_factory=list)
    """Reference, the next one, the ms when it is old enough, and whether no later one that is held may be sooner."""
    dead: list[tuple[bytes, str]] = field(default_factory=list)
    """Reference and reason."""
    back: list[tuple[bytes, str]] = field(default_factory=list)
    """Reference, and what to put back at the lane's head for it; oldest first."""
    behind: list[tuple[bytes, str]] = field(default_factory=list)
    """Reference, and the key that it waits behind."""
    freed: list[str] = field(default_factory=list)
    """Keys that nothing waits for any more."""
    attempts: list[Attempt] = field(default_factory=list)
    notable: list[tuple[str, int, Mapping[str, Any]]] = field(default_factory=list)
    """Operational events that attempts caused: their type, ms, and data."""
    leaving: Literal["stay", "park", "go"] = "stay"
    take: int = 0
    """How many references to take more, of a lane that stays."""
    until_ms: int = 0
    """Until when to put it aside, if it is parked."""

    def has_results(self) -> bool:
        """Whether anything came of what was claimed."""
        ended = self.ended or self.unwanted or self.due or self.held or self.dead
        return bool(ended or self.back or self.behind or self.freed or self.attempts)

    def references(self) -> set[bytes]:
        """Every reference that something came of."""
        pairs = (self.due, self.held, self.dead, self.back, self.behind)
        return {*self.ended, *self.unwanted, *(entry[0] for group in pairs for entry in group)}

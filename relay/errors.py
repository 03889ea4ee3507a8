"""Every exception of the relay, named for what the caller must do.

RelayError
├── Invalid            a caller's value is wrong: say which field and why (422)
├── NotFound           no such thing (404)
├── Conflict           it clashes with what is there (409)
│   ├── BeingDeleted   one of that name is not gone yet: try again in a moment (409)
│   ├── InProgress     the same request is still running: try again in a moment (409)
│   └── InUse          others name it: change them first (409)
├── Unauthorized       no key, or a wrong one (401)
├── Forbidden          the key does not include this (403)
├── TooMany            too many requests: wait (429)
├── StoreUnavailable   Redis does not answer: try again (503)
│   ├── StoreFull      it has no room for what it was asked to take
│   └── StoreDenied    it rejects the user name or the password: correct the settings
├── StoreRefused       Redis refuses for good: say what to do, let others go on, and try again seldom
├── UpstreamError      the reports API did not give a page
│   ├── Retriable      back off, then ask again (429, 5xx, time-outs, broken bodies)
│   ├── Refused        stop the route until its credentials change (401, 403)
│   └── LimitRefused   ask for fewer rows (hazard H7)
├── CannotListen       the port is taken: another one must be set
├── Fenced             another worker took over: drop the work, keep nothing
├── Astray             the store lost what this poller wrote last: drop the work, begin with what the store says
├── StaleSubscriptions a page was matched against old subscriptions: match it again
├── CheckpointUnavailable the place of the checkpoints does not answer, or refuses: try again
├── CheckpointRefused  a checkpoint must not be used here, or another relay uses it: end, and say what to do
├── ExpressionRefused  an expression cannot be used: say where and why (422)
├── ExpressionFailed   an expression cannot be evaluated for this data: say which one and why
├── EvaluatorUnavailable nothing could evaluate expressions at this moment: try again
└── Unreadable         what is stored is damaged or of another release: set it aside and say so
    └── SealedByAnother it is sealed with a key that this process does not have
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a caller's value.

    `path` leads to it from the outside in, e.g. `("body", "filter", "$and", 0)`; `message` says what is wrong and
    what to do.
    """

    path: tuple[str | int, ...]
    message: str
    kind: str = "value_error"


class RelayError(Exception):
    """The root: whatever the relay raises on purpose."""


class Invalid(RelayError):  # noqa: N818 - named for what it says, like the others
    """A value from outside breaks a rule; `faults` names every one of them."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, f.path))}: {f.message}" for f in faults))
        self.faults = faults


class NotFound(RelayError):  # noqa: N818
    """Nothing is kept under that id."""


class Conflict(RelayError):  # noqa: N818
    """The id or uid is taken, or the thing is in a state that forbids this."""


class BeingDeleted(Conflict):
    """What had that name is still being deleted."""


class InProgress(Conflict):
    """A request with the same idempotency-key is still running."""


class InUse(Conflict):
    """Other objects name it."""


class Unauthorized(RelayError):  # noqa: N818
    """No API key, or one that is not valid."""


class Forbidden(RelayError):  # noqa: N818
    """The API key does not include what was asked for."""


class TooMany(RelayError):  # noqa: N818
    """A quota of requests is used up. `retry_after_s` is when there is room for another one."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnavailable(RelayError):  # noqa: N818
    """Redis cannot be reached or refuses to work; nothing was changed."""


class StoreFull(StoreUnavailable):
    """Redis has no room for what it was asked to take; nothing was changed."""


class StoreDenied(StoreUnavailable):
    """Redis rejects the user name or the password; nothing was changed."""


class StoreRefused(RelayError):  # noqa: N818
    """Redis refuses a command: its user may not use it, a key has another type, or a script failed half way.

    Waiting alone does not help, but waiting tasks continue by themselves once the cause is corrected.
    """


class UpstreamError(RelayError):
    """The reports API did not give a whole page."""


class Retriable(UpstreamError):  # noqa: N818
    """It may work later. `retry_after_s` is what the upstream asked for, if it did."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Late(Retriable):
    """The upstream did not answer in time."""


class Absent(Retriable):
    """404 or 410: the upstream does not have what was asked for."""


class Declined(Retriable):
    """The upstream answered with a message and no row: it may not accept what was asked for."""


class Refused(UpstreamError):  # noqa: N818
    """401 or 403: asking again with the same credentials is hammering (hazard H28)."""


class LimitRefused(UpstreamError):  # noqa: N818
    """The upstream says that the limit is too high (hazard H7)."""


class CannotListen(RelayError):  # noqa: N818
    """A port that a command should serve on can't be used."""


class Fenced(RelayError):  # noqa: N818
    """The fencing token is not the newest: another worker has taken over."""


class Astray(RelayError):  # noqa: N818
    """The store is not where this poller left it: it went back in time. Nothing was changed."""


class StaleSubscriptions(RelayError):  # noqa: N818
    """The page was matched against older subscriptions than the source has."""


class Unreadable(RelayError):  # noqa: N818
    """Something in the store is damaged, or of a release that this one does not know."""


class SealedByAnother(Unreadable):
    """It is sealed with a key that is not in RELAY_ENCRYPTION_KEY."""


class CheckpointUnavailable(RelayError):  # noqa: N818
    """The place at RELAY_CHECKPOINT_URL does not answer, or refuses. What was written before stands."""


class CheckpointRefused(RelayError):  # noqa: N818
    """The checkpoint is not this relay's, or the store is not the one that is checkpointed; says what to do."""


class ExpressionRefused(RelayError):  # noqa: N818
    """An expression cannot be used. `position` is the index of the character at which the problem begins, from 0."""

    def __init__(self, message: str, position: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class ExpressionFailed(RelayError):  # noqa: N818
    """The expression `name` has no result for this data, and will have none for the same data later.

    `position` is as in ExpressionRefused. `kind` says why:

    - `failed`: the expression ended with an error, such as a wrong type.
    - `too_slow`: it needs more steps or CPU time than an evaluation may take.
    - `too_large`: it needs more memory, or its result is too large.
    """

    def __init__(
        self, name: str, message: str, position: int | None, kind: Literal["failed", "too_slow", "too_large"]
    ) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.position = position
        self.kind = kind


class EvaluatorUnavailable(RelayError):  # noqa: N818
    """Nothing could evaluate the expressions now. This says nothing about the result: try again, after `wait_s` s."""

    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s

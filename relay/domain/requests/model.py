"""What an endpoint can say about its requests, as frozen structs. One that says nothing gets plain callbacks."""

from typing import Literal

import msgspec

Method = Literal["POST", "PUT", "PATCH"]
LookupMethod = Literal["GET", "POST"]
OnMiss = Literal["send", "skip", "fail"]
"""What happens to an event for which a lookup finds nothing."""
RuledVerdict = Literal["delivered", "exists", "later", "dead", "renewToken", "disable"]

LARGEST_BATCH = 200
"""Events in one request. No CRM takes more, but for Google's Data Manager, which takes them all or none."""

Scalar = str | int | float | bool | None
Expression = str
"""JSONata: see relay.expressions."""


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the structs of this module have in common."""


class Lookup(Struct, frozen=True, kw_only=True):
    """A request before the callback, such as a search for a contact. It goes to the origin of the endpoint's URL."""

    key: Expression
    """What is looked up, such as a phone number. The result is cached under it. null: nothing is asked, a miss."""
    result: Expression
    """Finds the result in the JSON of the answer. null: a miss."""
    url: str
    method: LookupMethod = "GET"
    url_parameters: dict[str, Expression] = {}
    body: Expression | None = None
    on_miss: OnMiss = "send"
    cache_s: float = 300.0
    """How long a result is used again, a miss included; 0: never."""
    rate_limit: int | None = None
    """Requests a second over all workers; None: no limit of its own."""


class Capture(Struct, frozen=True, kw_only=True):
    """What is kept of the answer to an event, for the later events of its row."""

    value: Expression
    """Finds the value in the JSON of the answer, such as the id of the record that was created. null: nothing."""
    method: Method = "PATCH"
    url: str | None = None
    """Where later events go, such as `…/calls/{captured}`, with `method`; None: where the first one went, as it did."""


class VerdictRule(Struct, frozen=True, kw_only=True):
    """What an answer means. The first rule of an endpoint that fits an answer decides."""

    status: str
    """A status such as `409`, or a class such as `4xx`."""
    verdict: RuledVerdict
    pointer: str | None = None
    """A JSON Pointer (RFC 6901) into the answer. Without `equals`, it has to lead to something other than null."""
    equals: Scalar | msgspec.UnsetType = msgspec.UNSET
    """What `pointer` has to lead to."""
    text: str | None = None
    """What the answer's text has to contain."""
    delay_s: float | None = None
    """Of `later`: seconds until the next try."""
    delay_header: str | None = None
    """Of `later`: the header that says the seconds, or the time, until the next try."""
    pauses: bool = False
    """Of `later`: whether all events of the endpoint wait, and not only this one."""


class Batch(Struct, frozen=True, kw_only=True):
    """Several events in one request. They go as soon as there are `size`, or the first has waited for `wait_s`."""

    size: int
    wait_s: float
    body: Expression | None = None
    """Makes the request's body of the array of the events' bodies; None: the array is the body."""
    failed: Expression | None = None
    """Finds in the JSON of a successful answer which events failed: their places, from 0, or their ids or keys."""


class RequestShape(Struct, frozen=True, kw_only=True):
    """What the requests of an endpoint look like."""

    method: Method = "POST"
    url_parameters: dict[str, Expression] = {}
    """Expressions for the placeholders in URLs, by their names."""
    transformation: Expression | None = None
    transformation_enabled: bool = True
    variables: dict[str, str] = {}
    """Texts that expressions read as `$variables`."""
    lookup: Lookup | None = None
    capture: Capture | None = None
    verdicts: tuple[VerdictRule, ...] = ()
    batch: Batch | None = None

    @property
    def reads_answers(self) -> bool:
        """Whether anything of the endpoint reads the bodies of answers."""
        return bool(self.verdicts or self.capture or (self.batch and self.batch.failed))

    @property
    def body(self) -> Expression | None:
        """The transformation, if it is enabled."""
        return self.transformation if self.transformation_enabled else None


PLAIN = RequestShape()

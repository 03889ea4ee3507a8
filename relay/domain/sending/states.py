"""The states of an endpoint and of a lane, and what leads from one to another. Other pairs change nothing."""

from enum import StrEnum


class EndpointState(StrEnum):
    """What an endpoint does, in this worker."""

    FLOWING = "flowing"
    """It sends as its window, its rate and its order allow."""
    RESTING = "resting"
    """It sends nothing until a time: its breaker is open, its receiver asked for a rest, or this machine failed."""
    ASKING = "asking"
    """Its breaker's pause is over: the store was asked for the right to probe."""
    PROBING = "probing"
    """It has that right: one callback at a time goes out."""
    OFF = "off"
    """It is disabled, paused, unfit, deleted or unknown: it sends nothing until its configuration changes."""


class EndpointEvent(StrEnum):
    """What changes an endpoint's state."""

    REST = "rest"
    WELL = "well"
    """The receiver works, and asked for no rest."""
    OVER = "over"
    """The rest is over, and the breaker is closed."""
    DUE = "due"
    """The rest is over, and the breaker is open."""
    GRANTED = "granted"
    REFUSED = "refused"
    """Another worker probes."""
    OFF = "off"
    ON = "on"


_E, _V = EndpointState, EndpointEvent
ENDPOINT_TABLE: dict[tuple[EndpointState, EndpointEvent], EndpointState] = {
    (_E.FLOWING, _V.REST): _E.RESTING,
    (_E.FLOWING, _V.OFF): _E.OFF,
    (_E.RESTING, _V.WELL): _E.FLOWING,
    (_E.RESTING, _V.OVER): _E.FLOWING,
    (_E.RESTING, _V.DUE): _E.ASKING,
    (_E.RESTING, _V.OFF): _E.OFF,
    (_E.ASKING, _V.GRANTED): _E.PROBING,
    (_E.ASKING, _V.REFUSED): _E.RESTING,
    (_E.ASKING, _V.REST): _E.RESTING,
    (_E.ASKING, _V.WELL): _E.FLOWING,
    (_E.ASKING, _V.OFF): _E.OFF,
    (_E.PROBING, _V.REST): _E.RESTING,
    (_E.PROBING, _V.WELL): _E.FLOWING,
    # The right to probe ended before anything came to be sent.
    (_E.PROBING, _V.DUE): _E.ASKING,
    (_E.PROBING, _V.OFF): _E.OFF,
    # Whatever made it rest before may still hold: the next tick finds out.
    (_E.OFF, _V.ON): _E.RESTING,
}


class LaneState(StrEnum):
    """What a held lane does."""

    OPEN = "open"
    """It sends, and takes more from the store."""
    CLOSING = "closing"
    """It begins nothing more. Waiting deliveries go back to the store once those in flight have landed."""
    LEAVING = "leaving"
    """The store was told to park it or to let it go. Its answer is awaited."""
    GONE = "gone"
    """This worker does not hold it any more. What is in flight lands, and counts for nothing here."""


class LaneEvent(StrEnum):
    """What changes a lane's state."""

    CLOSE = "close"
    """Its endpoint rests or is off, its order changed, its worker drains, or others wait for their turn."""
    REOPEN = "reopen"
    """What closed it is over, and nothing was handed in yet."""
    LEAVE = "leave"
    """Nothing of it is in flight, and the store is told."""
    STAYED = "stayed"
    """The store says that it is held."""
    LEFT = "left"
    """The store says that it is parked, ready, idle or held by another worker."""


_L, _W = LaneState, LaneEvent
LANE_TABLE: dict[tuple[LaneState, LaneEvent], LaneState] = {
    (_L.OPEN, _W.CLOSE): _L.CLOSING,
    (_L.OPEN, _W.LEFT): _L.GONE,
    (_L.CLOSING, _W.REOPEN): _L.OPEN,
    (_L.CLOSING, _W.LEAVE): _L.LEAVING,
    (_L.CLOSING, _W.LEFT): _L.GONE,
    (_L.LEAVING, _W.STAYED): _L.CLOSING,
    (_L.LEAVING, _W.LEFT): _L.GONE,
}

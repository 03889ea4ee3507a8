"""What a posted event has and a row's has not, as it is kept with the event."""

import msgspec


class Post(msgspec.Struct, frozen=True, array_like=True):
    """What an event has that was posted. `event_id` is the poster's name for it, unique in its application."""

    event_type: str
    event_id: str | None = None
    channels: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    request: str = ""
    """Which request posted it: the same when that is repeated with its idempotency key. Empty: it had none."""

"""The stored form of an event. This module needs no Redis client, because judging processes use it too."""

from relay.domain.model import StoredEvent
from relay.store.packing import Packing

PACKING = Packing(StoredEvent, version=1)
pack_event = PACKING.pack
"""StoredEvent → bytes, the form that is stored."""

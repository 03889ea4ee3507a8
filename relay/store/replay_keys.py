"""The keys of replays, one function each, as relay.store.keys has all others."""

from relay.domain.model import EndpointId, SourceUid
from relay.store.keys import config, prefix

CORRECTIONS = config("corrections")
"""hash: `{endpoint} {reason}` → ms of the last change that may cure its dead deliveries of the reason. Written with the
change, deleted once a task of it has begun, half a minute later."""


def replay_list(source: SourceUid, endpoint: EndpointId) -> str:
    """list: references of replays that wait until the lane is dry, oldest first. Lives while not empty."""
    return f"{prefix(source)}replays:{endpoint}"


def replaying(source: SourceUid) -> str:
    """set: endpoints whose list of replays is not empty. Lives while there are any."""
    return prefix(source) + "replaying"


def replays(source: SourceUid) -> str:
    """hash: id of a replay → its part in this source, see relay.store.replays. The newest 100 and all that run."""
    return prefix(source) + "replays"


def replay_counts(source: SourceUid) -> str:
    """hash: `{id}:queued`, `{id}:gone`, `{id}:changed` → deliveries of a replay. Lives as long as the replay."""
    return prefix(source) + "replay_counts"

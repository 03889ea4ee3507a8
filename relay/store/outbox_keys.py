"""The keys of operational webhooks: see relay.store.keys, where all others are."""

from relay.domain.model import SourceUid
from relay.store.keys import config, prefix

OPERATIONS_POSTED = config("operations_posted")
"""string: the position up to which the operational events are posts of the operator's application. Kept."""

OUTBOX = config("outbox")
"""stream: operational events about changes of endpoints, until they are such posts: the newest 10,000. Written while
there are operational endpoints, and kept."""


def outbox(source: SourceUid) -> str:
    """stream: operational events about deliveries, until they are posts: the newest 10,000. Kept, once written."""
    return prefix(source) + "outbox"

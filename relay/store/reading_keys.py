"""The keys of readings and of what they need, one function each, as in relay.store.keys."""

from relay.domain.model import SourceUid
from relay.store.keys import prefix


def readings(source: SourceUid) -> str:
    """hash: `{route}/{reading}` → its Place (JSON); `budget` → ms of the next request. Lives as long as the route."""
    return prefix(source) + "readings"


def past(source: SourceUid, bucket: int) -> str:
    """hash: which 32 of 256 events → these, condensed. Kept until no reading finds changes, within a budget."""
    return f"{prefix(source)}past:{bucket}"


def past_buckets(source: SourceUid) -> str:
    """hash: bucket of past events → `{ms when the newest was stored} {bytes}`. Lives as long as they."""
    return prefix(source) + "past_buckets"


def backfills(source: SourceUid) -> str:
    """hash: id → backfill (JSON). Those that run, and the newest that have ended."""
    return prefix(source) + "backfills"


def known_from(source: SourceUid, space: str) -> str:
    """string: the rowId up to which nothing is known any more, because known rows took too much memory. Kept."""
    return f"{prefix(source)}known_from:{space}"

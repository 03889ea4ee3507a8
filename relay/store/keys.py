"""Every key of the relay in Redis, one function each: its type, who writes it, how long it lives.

All keys of one source begin with `relay:s:{source uid}:`, a prefix that nothing else has, and carry its hash tag, so
that whatever must be atomic is one slot. What is not a source's carries the tag `{config}`, `{rates}` or `{endpoints}`.
arq's own keys (`arq:{jobs}:*`, `relay:{jobs}`, see relay.jobs) are not listed here. Other keys are in
relay.store.book_keys, request_keys, reading_keys, replay_keys, outbox_keys, capture_keys, token_keys and rate_keys.
"""

from relay.domain.model import EndpointId, SourceUid

EVENTS_PER_BUCKET = 256
"""Also those of a block of the books."""
ATTEMPTS_PER_BUCKET = 32
ROWS_PER_BUCKET = 100

CHANGED_CHANNEL = "relay:changed"
"""Pub/sub: the configuration's new version, as text. Workers read what changed."""
WAKE_CHANNEL = "relay:wake"
"""Pub/sub: the uid of a source that has ready lanes."""
CONDITION_CHANNEL = "relay:condition"
"""Pub/sub: an endpoint whose condition changed, and the session that changed it."""
ROOM_CHANNEL = "relay:room"
"""Pub/sub: the session of a worker that has room for more work."""
EXPUNGED_CHANNEL = "relay:expunged"
"""Pub/sub: the uid of a source that has an event whose content was removed. Workers forget what they have in memory."""
CHANNELS = (CHANGED_CHANNEL, WAKE_CHANNEL, CONDITION_CHANNEL, ROOM_CHANNEL, EXPUNGED_CHANNEL)

CONDITIONS = "relay:{endpoints}:conditions"
"""hash: endpoint → what is remembered of one that is not well, see relay.domain.breaking. Lives until it is well."""


def nothing(key: str) -> str:
    """Never written: a key with the tag of another one, which scripts declare (see relay.store.scripts)."""
    return f"{key}:nothing"


def config(name: str) -> str:
    """The configuration's keys, written by the API, kept until deleted.

    `sources`, `applications`, `endpoints`: hashes of id → JSON with sealed secrets · `application_uids`: hash uid →
    id · `endpoint_uids`: hash `{app id}/{uid}` → id · `index`: zset of `source/{uid}`, `application/{id}`,
    `endpoint/{app id}/{id}`, all with score 0: what lists are read from, in the order of the text · `history`: zset of
    `{version} {member of the index}` of the newest changes, by their versions ·
    `matched`: hash `{kind}/{id}` → the version that last changed who gets which events by it · `deletions`: hash
    `{kind}/{id}` → `{version} {JSON}` of what was deleted and is not all gone yet · `reported`: hash `{kind}/{id}` →
    the kind of the operational event that says what is wrong with it, until it is written again · `keys`: hash of id →
    JSON of an API key with hashed secrets · `event_types`: hash of name → JSON of a type that a customer created ·
    `erasures`: hash of id → JSON with the hashes of somebody who was erased. Lives as long as the setting says.
    """
    return f"relay:{{config}}:{name}"


POLLS = config("polls")
"""zset source uid → ms when a poll slice should run next; a hint that the tick reads. Kept."""

RECONCILED = config("reconciled")
"""zset source uid → ms when its next reconciliation should begin, or the one under way should go on. Kept."""

SEAL = config("seal")
"""string: a text that RELAY_ENCRYPTION_KEY has sealed, by which a process finds out that it has the right one. Kept."""

EPOCH = config("epoch")
"""hash: `id`, `ancestors` (separated by spaces), `beats`, `beaten_ms` (when a checkpoint was begun last), `saved_ms`
(when one was written last), or `restoring`: see relay.domain.epoch. Kept; absent without RELAY_CHECKPOINT_URL."""


def consumers(endpoint: EndpointId) -> str:
    """hash: a consumer's id → JSON of what it acknowledged and was given last. Lives 90 days after the last poll."""
    return f"relay:{{endpoints}}:consumers:{endpoint}"


CLOCK = "relay:{endpoints}:clock"
"""string: the server's clock in ms, as it was read last: that it was set back shows by this. Kept."""

OPERATIONS = config("operations")
"""stream: operational events, the newest 10,000."""

STANDING = config("standing")
"""hash: what holds now, so that its beginning and its end are noted once: `store` → `full` or `well`. Kept."""


def upkeep(chore: str) -> str:
    """string: there while a worker does a chore of upkeep. Lives seconds."""
    return config(f"upkeep:{chore}")


def prefix(source: SourceUid) -> str:
    """What all keys of a source begin with; scripts build the names of lanes and buckets from it."""
    return f"relay:s:{{{source}}}:"


def subscriptions(source: SourceUid) -> str:
    """string: the configuration's version that last changed who gets this source's events. Kept."""
    return prefix(source) + "subscriptions"


def fence(source: SourceUid) -> str:
    """string: the newest fencing token of the source's poller, the µs when it was given; of a deleted source
    `-{version of the deletion}`, until another one of that name is polled. Kept, also of deleted sources."""
    return prefix(source) + "fence"


def emptying(source: SourceUid) -> str:
    """string: how far the look for what is left of a deleted source has come, a cursor of SCAN. Lives until its end."""
    return prefix(source) + "emptying"


def lease(source: SourceUid) -> str:
    """string: the token of the poller that works now. Lives 10 s, renewed."""
    return prefix(source) + "lease"


def handover(source: SourceUid) -> str:
    """string: `offered` when a slice is over, or `wanted` while another slice or reconciliation waits. Lives 10 s."""
    return prefix(source) + "handover"


def sequence(source: SourceUid) -> str:
    """string: counter; the number of the newest event. Kept."""
    return prefix(source) + "sequence"


def life(source: SourceUid) -> str:
    """string: `{id} {id of the one before}`: see relay.domain.lives. Kept; absent without RELAY_CHECKPOINT_URL."""
    return prefix(source) + "life"


def route(source: SourceUid, name: str) -> str:
    """hash: one route's cursor and state, see RouteState. Kept until the source is deleted."""
    return f"{prefix(source)}route:{name}"


def trail(source: SourceUid, name: str) -> str:
    """zset: cursors that the route had, by the ms when it got there; fewer, the older they are."""
    return f"{prefix(source)}trail:{name}"


def seen(source: SourceUid, space: str, bucket: int) -> str:
    """hash of 100 rowIds: what is known of each row, see relay.domain.identity. Kept until every reading is past it.
    `space` is `t` for triggers and `i` for itemised calls, whose ids are a space of their own."""
    return f"{prefix(source)}seen:{space}:{bucket}"


def seen_buckets(source: SourceUid, space: str) -> str:
    """zset: buckets of rows that are known, by themselves. Live as long as they."""
    return f"{prefix(source)}seen_buckets:{space}"


def marks(source: SourceUid, space: str) -> str:
    """zset: the furthest cursor of all routes, by the ms when upkeep saw it; fewer, the older they are."""
    return f"{prefix(source)}marks:{space}"


def quarantine(source: SourceUid) -> str:
    """hash: digest of the line → JSON of a line that could not be read; the newest are kept, all are counted."""
    return prefix(source) + "quarantine"


def events(source: SourceUid, bucket: int) -> str:
    """hash of 256 events: number → StoredEvent (msgpack). Lives for the retention, and until all are delivered."""
    return f"{prefix(source)}events:{bucket}"


def message_ids(source: SourceUid, shard: str) -> str:
    """hash: the rest of a message id → the event's number. Lives as long as the event."""
    return f"{prefix(source)}ids:{shard}"


def references(source: SourceUid) -> str:
    """hash: bucket of events → deliveries that have not ended. Lives as long as the bucket."""
    return prefix(source) + "references"


def lowest(source: SourceUid, name: str) -> str:
    """hash: bucket of events → the smallest rowId that a route has in it. Lives as long as the bucket."""
    return f"{prefix(source)}lowest:{name}"


def owed(source: SourceUid) -> str:
    """hash: endpoint → bytes of the events that its deliveries keep. Lives as long as they."""
    return prefix(source) + "owed"


def lane(source: SourceUid, endpoint: EndpointId) -> str:
    """list: references of the events that wait for an endpoint, oldest at the head. Lives while not empty."""
    return f"{prefix(source)}lane:{endpoint}"


def flight(source: SourceUid, endpoint: EndpointId) -> str:
    """set: references that a worker has claimed and not ended. Lives while not empty."""
    return f"{prefix(source)}flight:{endpoint}"


def lanes(source: SourceUid) -> str:
    """hash: endpoint → `r` (ready), `p` (parked) or the session of the worker that holds it; absent: idle."""
    return prefix(source) + "lanes"


def ready(source: SourceUid) -> str:
    """list: endpoints whose lanes have something to send and nobody holds. Lives while not empty."""
    return prefix(source) + "ready"


def parked(source: SourceUid) -> str:
    """zset: endpoints whose lanes are put aside, by the ms until when."""
    return prefix(source) + "parked"


def due(source: SourceUid) -> str:
    """zset: `endpoint reference` of deliveries that wait for their next try, by the ms when it is due."""
    return prefix(source) + "due"


def dead(source: SourceUid) -> str:
    """zset: `endpoint reference reason` of deliveries that were given up, by the ms when. Kept for its retention."""
    return prefix(source) + "dead"


def dropped(source: SourceUid, endpoint: EndpointId) -> str:
    """zset: `reference reason message row` of deliveries that were given up and keep no event, by the ms when.

    The newest 10,000 of an endpoint, for the retention of the dead.
    """
    return f"{prefix(source)}dropped:{endpoint}"


def dropped_counts(source: SourceUid) -> str:
    """hash: endpoint → how many of its deliveries were dropped, also those that are not listed any more."""
    return prefix(source) + "dropped_counts"


def revived(source: SourceUid) -> str:
    """string: counter of deliveries of older events that were begun, such as those sent again by hand. Kept."""
    return prefix(source) + "revived"


def sessions(source: SourceUid) -> str:
    """zset: sessions of workers that hold lanes, by the ms when they count as dead; renewed often."""
    return prefix(source) + "sessions"


def attempts(source: SourceUid, bucket: int) -> str:
    """hash of 32 events' attempts: `{number}:{endpoint}:{ms}` → Attempt (msgpack). Lives within a budget of bytes."""
    return f"{prefix(source)}attempts:{bucket}"


def endpoint_attempts(source: SourceUid, endpoint: EndpointId) -> str:
    """zset: `{number}:{ms}` of an endpoint's attempts, by the ms when each began. Shed with the attempts."""
    return f"{prefix(source)}attempt_times:{endpoint}"


def attempt_buckets(source: SourceUid) -> str:
    """zset: buckets of attempts, by the ms of their newest one: what is shed first. Lives as long as they."""
    return prefix(source) + "attempt_buckets"


def attempt_sizes(source: SourceUid) -> str:
    """hash: bucket of attempts → its bytes; the field `total` has their sum. Lives as long as they."""
    return prefix(source) + "attempt_sizes"


def lags(source: SourceUid, minute: int) -> str:
    """hash: session of a worker → the lags of what it delivered in a minute since 1970, by route. Lives ten minutes."""
    return prefix(source) + f"lags:{minute}"


def swept(source: SourceUid) -> str:
    """string: ms of the server's clock when the lanes were swept last; `+` behind it if sessions got grace. Kept."""
    return prefix(source) + "swept"


def turns(source: SourceUid) -> str:
    """hash: session → the number of its last exchange. Lives as long as the session."""
    return prefix(source) + "turns"


def tried(source: SourceUid, session: str) -> str:
    """set: `endpoint reference` of what was in flight at a crash and is on the wire again. Lives as the session."""
    return f"{prefix(source)}tried:{session}"


def blockers(source: SourceUid) -> str:
    """set: endpoints with blocked keys. Lives while there are any."""
    return prefix(source) + "blockers"


def blocked(source: SourceUid, endpoint: EndpointId) -> str:
    """hash: `{version of the endpoint's order}.{digest of the key}` → number of the event that later ones with this key
    wait for. Lives while a key is blocked."""
    return f"{prefix(source)}blocked:{endpoint}"


def holds(source: SourceUid) -> str:
    """hash: endpoint → ms until when its newest event is held, where order counts. Lives as long as the endpoint."""
    return prefix(source) + "holds"


def waiting(source: SourceUid, endpoint: EndpointId, key: str) -> str:
    """list: references that wait behind a blocked key, oldest first. Lives while not empty."""
    return f"{prefix(source)}waiting:{endpoint}:{key}"

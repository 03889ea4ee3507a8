"""What redis-py raises in the relay's own words: a passing fault is StoreUnavailable, anything else StoreRefused."""

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from relay.errors import StoreDenied, StoreFull, StoreRefused, StoreUnavailable

PASSING = (
    RedisConnectionError, RedisTimeoutError, InvalidResponse, BusyLoadingError, ReadOnlyError, OutOfMemoryError,
    ClusterDownError, TryAgainError,
)  # fmt: skip
"""A server that is away, starting, demoted or full: it may work later, and nothing was changed half way."""
BUSY = ("BUSY ", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF")
"""How its answer begins when it is not able to work now: busy with a script of anybody's, or without what it needs."""
OF_PIPELINE = "of pipeline caused error: "


class Refusal(StoreRefused, ResponseError):  # noqa: N818 - named for what it says, like the others
    """What redis-py raises, under the relay's own name too."""


class SentinelDenied(AuthenticationError):  # noqa: N818 - named for what it says, like the others
    """A Sentinel does not take the relay's user or password, which are not those of the servers."""


def sorted_out(error: RedisError) -> Exception:
    """The relay's own error for one of redis-py's.

    Two stay what they are: that a server does not know a script yet, and that another one has a key (see
    relay.store.cluster).
    """
    # What a server says while a socket is opened comes wrapped into a ConnectionError.
    if isinstance(error.__cause__, RedisError):
        return sorted_out(error.__cause__)
    # Before what was said stands which command of a pipeline it was about, with its arguments.
    text = str(error).rpartition(OF_PIPELINE)[2].strip("(,)'\"")
    if isinstance(error, NoScriptError | AskError | StoreRefused):
        return error
    if isinstance(error, PASSING):
        return _passing(error)
    if text.startswith("OOM"):
        return StoreFull(_message(error))
    if text.startswith(BUSY):
        return StoreUnavailable(_message(error))
    for begins, meant in _MEANT:
        if text.startswith(begins):
            return Refusal(meant)
    # What a command was called with may be anybody's data.
    said = text.partition(", with args")[0].partition("\n")[0][:300]
    return Refusal(f"Redis refuses a command ({type(error).__name__}: {said})")


def _passing(error: Exception) -> StoreUnavailable:
    kind: type[StoreUnavailable] = StoreUnavailable
    if isinstance(error, OutOfMemoryError):
        kind = StoreFull
    elif isinstance(error, AuthenticationError):
        kind = StoreDenied
    return kind(_message(error))


def _message(error: Exception) -> str:
    text = str(error)
    for kind, said in _SAID:
        if isinstance(error, kind):
            return said
    return next((said for begins, said in _SAYS if text.startswith(begins)), f"Redis can't be reached ({text[:300]})")


_SAID: tuple[tuple[type[Exception], str], ...] = (
    (SentinelDenied, "a Sentinel rejects sentinel_username or sentinel_password of RELAY_REDIS_URL"),
    (AuthenticationError, "Redis rejects the user name or the password of RELAY_REDIS_URL"),
    (OutOfMemoryError, "Redis is out of memory"),
    (ReadOnlyError, "Redis is a read-only replica: RELAY_REDIS_URL must lead to the primary"),
    (BusyLoadingError, "Redis is loading its data"),
    (RedisTimeoutError, "Redis did not answer in time"),
    (InvalidResponse, "the server at RELAY_REDIS_URL does not speak Redis's protocol"),
    (TryAgainError, "the Redis cluster is moving a slot to another node"),
    (ClusterDownError, "the Redis cluster is down"),
)
_SAYS = (
    ("OOM", "Redis is out of memory"),
    ("BUSY ", "Redis is busy with a script"),
    ("LOADING", "Redis is loading its data"),
    ("MASTERDOWN", "Redis is a replica without a connection to its primary"),
    ("CLUSTERDOWN", "the Redis cluster is down"),
    ("TRYAGAIN", "the Redis cluster is moving a slot to another node"),
    ("NOREPLICAS", "Redis has too few replicas to accept writes (min-replicas-to-write)"),
    ("MISCONF", "Redis can't write its data to disk, and refuses writes"),
)
"""What a server's own words mean, by how they begin."""
CLUSTER_FORM = "redis+cluster://host:port,host:port"
_MEANT = (
    ("SELECT is not allowed in cluster mode", f"A cluster has no databases. Set RELAY_REDIS_URL to {CLUSTER_FORM}"),
    ("MOVED ", f"The server is a node of a cluster. Set RELAY_REDIS_URL to {CLUSTER_FORM}"),
    (
        "This instance has cluster support disabled",
        "The server is not part of a cluster. Set RELAY_REDIS_URL to redis://host:port/0, or enable its cluster mode",
    ),
)
"""Refusals for a URL of the wrong form, by how they begin."""

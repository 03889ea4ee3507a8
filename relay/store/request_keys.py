"""The keys in Redis that are about requests to the API: their types, and how long they live."""

from relay.domain.model import SourceUid
from relay.store.keys import config, prefix

KEY_USES = config("key_uses")
"""hash: API key, or `admin` → ms when it was used last. Lives as long as the key."""

AUDIT = config("audit")
"""hash: position → JSON of an entry of the audit log. Kept by time and size."""

AUDIT_BYTES = config("audit_bytes")
"""string: the bytes of all entries of the audit log. Kept."""


def audit_index(term: str) -> str:
    """zset: positions of entries of the audit log, all with score 0; `all`, or `principal:{id}`, `application:{id}`,
    `object:{kind}/{id}`, `action:{action}`. Lives as long as its last entry."""
    return config(f"audit:{term}")


def idempotency(digest: str) -> str:
    """hash: what is known of a request with an idempotency key, by the digest of principal, path and key. `content`:
    the keyed digest of query and body, `letters`: of the id of what it makes, `token` and `until` (ms) while it runs,
    `answer`: the sealed answer, when it has succeeded. Lives a day."""
    return config(f"idempotency:{digest}")


def quota(name: str) -> str:
    """string: up to when the requests of a key (its id), of a `portal:{app_id}` or of an `address:{address}` are used
    up, in µs. Lives a minute."""
    return config(f"quota:{name}")


def session(digest: str) -> str:
    """string: the sealed API key of a session of the console, by the digest of its token. Lives an hour from its last
    use, and 8 hours at most; that of a subscriber as long as its token, 7 days at most."""
    return config(f"session:{digest}")


def tracing(source: SourceUid) -> str:
    """string: there while a request asks the upstream of a source for a visitor's trace. Lives 30 s."""
    return prefix(source) + "tracing"


def portal_token(token: str) -> str:
    """string: the sealed JSON of a token of the portal, by its id. Lives until the token expires."""
    return config(f"portal_token:{token}")


def portal_tokens(application: str) -> str:
    """zset: `{token} {session}` of an application's tokens of the portal, by the ms when they expire. Lives a week from
    the newest one."""
    return config(f"portal_tokens:{application}")


def portal_code(digest: str) -> str:
    """string: a sealed token of the portal, by the digest of the code that is exchanged for it once. Lives ten
    minutes."""
    return config(f"portal_code:{digest}")

"""From the body of a request to the stored source."""

from msgspec import UNSET, UnsetType, structs

from relay.api.asked import Asked, raise_for, source_faults
from relay.api.schemas.sources import ApiKeyAuthIn, PortalUserIn, SourceIn
from relay.domain.credentials import BasicAuth
from relay.domain.model import ApiKeyAuth, Source, SourceAuth, SourceUid


def put(body: SourceIn, uid: SourceUid, source: Source | None, *, now_ms: int) -> Source:
    """The source after a PUT; `source` is the one that exists. Raises Invalid."""
    raise_for(source_faults(Asked.of(body), source))
    after = Source(
        uid=uid,
        name=uid if body.name is UNSET else body.name,
        base_url=body.base_url.rstrip("/"),
        version=body.version,
        igrp=body.igrp,
        auth=_auth(body.auth, source.auth if source else None),
        routes=tuple(dict.fromkeys(body.routes)),
        poll_interval_s=body.poll_interval_seconds,
        batch_size=body.batch_size,
        start_row_id=body.start_row_id,
        paused=(source.paused if source else False) if body.paused is UNSET else body.paused,
        times_written=source.times_written + 1 if source else 1,
        created_at_ms=source.created_at_ms if source else now_ms,
        updated_at_ms=source.updated_at_ms if source else now_ms,
    )
    # Every PUT is counted, because a stopped route then polls at once. The count alone does not count as a change.
    same = source is not None and structs.replace(source, times_written=after.times_written) == after
    return after if same else structs.replace(after, updated_at_ms=now_ms)


def _auth(asked: ApiKeyAuthIn | PortalUserIn | UnsetType, kept: SourceAuth | None) -> SourceAuth:
    """The credentials, with the values of the source where the request omits them. The faults were found before."""
    if isinstance(asked, UnsetType):
        return kept or ApiKeyAuth("")
    if isinstance(asked, ApiKeyAuthIn):
        return ApiKeyAuth(_or(asked.key, kept.key if isinstance(kept, ApiKeyAuth) else ""))
    old = kept if isinstance(kept, BasicAuth) else BasicAuth("", "")
    return BasicAuth(_or(asked.username, old.username), _or(asked.password, old.password))


def _or(asked: str | UnsetType, kept: str) -> str:
    return kept if isinstance(asked, UnsetType) else asked

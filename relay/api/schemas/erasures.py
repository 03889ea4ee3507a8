"""Erasing a person, on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from relay.api.schemas.common import IdOrUid, In, Out, moment
from relay.domain.erasing import VISITOR_MOST, WRITTEN_MOST
from relay.domain.erasing_task import ROUNDS, Asked, Found, Task
from relay.domain.erasures import Erasure
from relay.errors import Fault, Invalid


class ErasureIn(In, frozen=True, kw_only=True):
    """Who is to be erased: give either `phone` or `visitor`."""

    phone: Annotated[str, Meta(max_length=WRITTEN_MOST, examples=["+442079460958"])] | None = None
    """A phone number in its international form. The relay finds it in all spellings, in every column."""
    visitor: Annotated[str, Meta(max_length=VISITOR_MOST, examples=["5e0a1b2c3d4f"])] | None = None
    """The id of a visitor (column `vid`), with upper and lower case as they are."""
    app_id: IdOrUid | None = None
    """Only in the posts and the sources of this application. Its sources lose the person for every application.
    null: in everything."""
    dry_run: bool = False
    """Only count what the relay would erase."""

    def asked(self) -> Asked:
        """The identity. Raises Invalid."""
        if (self.phone is None) == (self.visitor is None):
            raise Invalid(Fault(("body",), "must have either `phone` or `visitor`"))
        return Asked("phone", self.phone) if self.phone is not None else Asked("visitor", self.visitor or "")


class ErasureData(Out, frozen=True, kw_only=True, tag_field="kind", tag="erasure"):
    """How far an erasure has come, and what it removed. It does not say whom it is about."""

    app_id: str | None
    """The id of the application. null: everything."""
    state: Literal["running", "finished", "failed", "cancelled"]
    """How far the task is."""
    dry_run: bool
    """Whether the task only counts."""
    round: int
    """The round that is under way: the relay looks through everything twice, and once with `dryRun`."""
    streams_done: int
    """Sources, and posts of applications, that the relay has looked through in this round."""
    streams: int
    """Sources, and posts of applications, that this round looks through."""
    messages: int
    """Messages that lost their content."""
    past_messages: int
    """Earlier states of rows that the relay removed."""
    responses: int
    """Attempts that lost what the receiver answered."""
    lines: int
    """Rows that could not be read and that the relay removed from the quarantine."""
    audit_entries: int
    """Entries of the audit log that lost texts."""
    error: str | None
    """Why the task failed. null: it did not fail."""


class ErasedOut(Out, frozen=True, kw_only=True):
    """What an erasure removed."""

    messages: int
    """Messages that lost their content."""
    past_messages: int
    """Earlier states of rows that the relay removed."""
    responses: int
    """Attempts that lost what the receiver answered."""
    lines: int
    """Rows that could not be read and that the relay removed from the quarantine."""
    audit_entries: int
    """Entries of the audit log that lost texts."""


class ErasureOut(Out, frozen=True, kw_only=True):
    """An erasure that keeps rows out. It does not say whom it is about."""

    id: str
    """The id of the erasure, which is the id of its background task."""
    kind: Literal["phone", "visitor"]
    """Whether a phone number or a visitor was erased."""
    hash: str
    """A keyed hash (hex). Two erasures of one person have the same. The key never leaves the relay."""
    created_at: datetime
    """When the erasure was requested. It covers rows that happened before."""
    created_by: str | None
    """The id of the API key that requested the erasure, or `admin`. null: an older release of the relay began it."""
    sources: list[str] | None
    """The uids of the sources whose rows are kept out. null: all sources."""
    removed: ErasedOut | None
    """What the erasure removed. null: its task has not finished, or an older release of the relay ran it."""


def show_kept(kept: Erasure) -> ErasureOut:
    """An erasure without the hashes of the single spellings."""
    found = kept.found
    return ErasureOut(
        id=kept.id,
        kind=kept.kind,
        hash=kept.digests[0],
        created_at=moment(kept.until_ms),
        created_by=kept.by or None,
        sources=None if kept.sources is None else list(kept.sources),
        removed=None if found is None else _removed(found),
    )


def _removed(found: Found) -> ErasedOut:
    return ErasedOut(
        messages=found.events,
        past_messages=found.past,
        responses=found.attempts,
        lines=found.lines,
        audit_entries=found.entries,
    )


def show_progress(task: Task) -> ErasureData:
    """How far a task has come."""
    found = task.found
    return ErasureData(
        app_id=task.application,
        state=task.phase,
        dry_run=task.dry_run,
        round=min(task.round + 1, ROUNDS),
        streams_done=task.streams,
        streams=task.all_streams,
        messages=found.events,
        past_messages=found.past,
        responses=found.attempts,
        lines=found.lines,
        audit_entries=found.entries,
        error=task.error,
    )

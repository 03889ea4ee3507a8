"""A task that erases somebody: what was asked for, and how far it has come."""

from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from relay.domain.erasing import Identity, phone, visitor
from relay.domain.model import ApplicationId, SourceUid
from relay.domain.spellings import Kind

ErasureKind = Literal["message.erase"]
ERASE: ErasureKind = "message.erase"
Phase = Literal["running", "finished", "failed", "cancelled"]
Step = Literal["events", "past", "attempts", "lines", "done"]
STEPS: tuple[Step, ...] = ("events", "past", "attempts", "lines", "done")
"""In this order: an event can become a past event between two steps, and never the other way."""
ROUNDS = 2
"""The second round finds what was on its way during the first one: an answer to a callback, a line of a page."""


class Asked(msgspec.Struct, frozen=True):
    """The identity as somebody asked for it. It is only kept sealed."""

    kind: Kind
    text: str

    def identity(self) -> Identity:
        """What to look for. Raises Invalid."""
        return phone(self.text) if self.kind == "phone" else visitor(self.text)


class Found(msgspec.Struct, frozen=True):
    """What was erased, or is to be."""

    events: int = 0
    past: int = 0
    attempts: int = 0
    lines: int = 0
    entries: int = 0
    """Of the audit log."""


class Task(Struct, frozen=True, kw_only=True):
    """One task."""

    id: str
    sealed: str
    """Who is to be erased; '' when the task has ended."""
    created_ms: int
    updated_ms: int
    application: ApplicationId | None = None
    """None: all sources, and the posts of all applications."""
    sources: tuple[SourceUid, ...] | None = None
    """Those of the application; None: all sources."""
    dry_run: bool = False
    """Only count."""
    phase: Phase = "running"
    round: int = 0
    stream: SourceUid = SourceUid("")
    """The one that is under way, or was done last; '': none yet. The names of those that are done are smaller."""
    step: Step = "done"
    bucket: int = 0
    """The first bucket that is left in this step."""
    streams: int = 0
    """Those that are done in this round."""
    all_streams: int = 0
    """Those that there are in this round."""
    waits_ms: int = 0
    """When the next round may begin."""
    found: Found = Found()
    by: str = ""
    """The id of the API key that asked for it, or `admin`; '': an older release began the task."""
    error: str | None = None


def ended(task: Task, phase: Phase, *, now_ms: int, error: str | None = None) -> Task:
    """A task that has ended: it no longer knows whom it was about."""
    return replace(task, phase=phase, sealed="", stream=SourceUid(""), updated_ms=now_ms, error=error)


def counted(task: Task, what: Literal["events", "past", "attempts", "lines", "entries"], found: int) -> Task:
    """A task that has found something more."""
    return replace(task, found=replace(task.found, **{what: getattr(task.found, what) + found}))


def begun(task: Task, stream: SourceUid, streams: int) -> Task:
    """A task that begins with a stream."""
    return replace(task, stream=stream, step=STEPS[0], bucket=0, all_streams=streams)


def after_step(task: Task) -> Task:
    """A task that has done a step of its stream."""
    step = STEPS[STEPS.index(task.step) + 1]
    return replace(task, step=step, bucket=0, streams=task.streams + (step == "done"))


def after_round(task: Task, *, waits_ms: int) -> Task:
    """A task that has done a round. The next one may begin at `waits_ms`."""
    return replace(task, round=task.round + 1, stream=SourceUid(""), step="done", streams=0, waits_ms=waits_ms)

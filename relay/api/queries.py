"""What several lists can be asked for in the query."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from litestar.params import FromQuery, QueryParameter

from relay.api.schemas.common import ms
from relay.domain.envelope import attempted_type, type_names
from relay.domain.model import Attempt, StoredEvent
from relay.domain.names import NAME, SOURCE_UID_MOST


@dataclass(frozen=True, slots=True)
class AttemptQuery:
    """Which attempts are asked for, and how much of each."""

    status: int | None = None
    status_class: int | None = None
    event_types: frozenset[str] = frozenset()
    before_ms: int | None = None
    after_ms: int | None = None
    with_content: FromQuery[bool] = True

    def wants(self, attempt: Attempt) -> bool:
        """Whether an attempt is asked for, its status apart."""
        return (
            (self.status_class is None or attempt.status // 100 * 100 == self.status_class)
            and (not self.event_types or attempted_type(attempt) in self.event_types)
            and (self.before_ms is None or attempt.started_at_ms < self.before_ms)
            and (self.after_ms is None or attempt.started_at_ms > self.after_ms)
        )


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """Which messages are asked for, and how much of each."""

    event_types: frozenset[str] = frozenset()
    channel: str | None = None
    tag: str | None = None
    source: str | None = None
    row_id: int | None = None
    before_ms: int | None = None
    after_ms: int | None = None
    with_content: bool = True

    def wants(self, event: StoredEvent) -> bool:
        """Whether an event is asked for, its source and its time apart."""
        post = event.post
        return (
            (not self.event_types or not self.event_types.isdisjoint(type_names(event)))
            and (self.channel is None or (post is not None and self.channel in (post.channels or ())))
            and (self.tag is None or (post is not None and self.tag in (post.tags or ())))
            and (self.row_id is None or (post is None and event.row_id == str(self.row_id)))
        )


def provide_message_query(
    event_types: FromQuery[list[str] | None] = None,
    before: FromQuery[datetime | None] = None,
    after: FromQuery[datetime | None] = None,
    channel: Annotated[str | None, QueryParameter(description="Only posts with this channel")] = None,
    tag: Annotated[str | None, QueryParameter(description="Only posts with this tag")] = None,
    source: Annotated[
        str | None,
        QueryParameter(
            min_length=1,
            max_length=SOURCE_UID_MOST,
            pattern=NAME,
            description="Only messages of the rows of this source: its uid",
        ),
    ] = None,
    row_id: Annotated[
        int | None, QueryParameter(ge=1, le=2**63 - 1, description="Only messages of the row with this rowId")
    ] = None,
    with_content: Annotated[bool, QueryParameter(description="Include the payloads")] = True,
) -> MessageQuery:
    """Read what a request asks for."""
    return MessageQuery(
        event_types=split(event_types),
        channel=channel,
        tag=tag,
        source=source,
        row_id=row_id,
        before_ms=ms(before) if before else None,
        after_ms=ms(after) if after else None,
        with_content=with_content,
    )


def provide_attempt_query(
    status: Annotated[
        Literal[0, 1, 2, 3, 4] | None, QueryParameter(description="Success, pending, failed, sending, canceled")
    ] = None,
    status_code_class: Annotated[
        Literal[0, 100, 200, 300, 400, 500] | None, QueryParameter(description="0: no response")
    ] = None,
    event_types: FromQuery[list[str] | None] = None,
    before: FromQuery[datetime | None] = None,
    after: FromQuery[datetime | None] = None,
    with_content: Annotated[
        bool, QueryParameter(description="Include the bodies of responses, or the payloads")
    ] = True,
    expanded_statuses: Annotated[
        bool, QueryParameter(description="Sent by Svix's clients. It has no effect: statuses are always complete")
    ] = False,
) -> AttemptQuery:
    """Read what a request asks for."""
    del expanded_statuses
    return AttemptQuery(
        status=status,
        status_class=status_code_class,
        event_types=split(event_types),
        before_ms=ms(before) if before else None,
        after_ms=ms(after) if after else None,
        with_content=with_content,
    )


def split(names: Iterable[str] | None) -> frozenset[str]:
    """Names that may come one by one or joined by commas."""
    return frozenset(part for name in names or () for part in name.split(",") if part)

"""Replays on a rig: what a test asks for, and what continues it."""

from typing import Any

from relay.domain.model import Endpoint
from relay.domain.replaying import Chosen, Reason, Replay, Wanted
from relay.pipeline.correcting import Correcting
from relay.pipeline.reading.old_rows import OldRows
from relay.pipeline.reading_again import ReadingAgain
from relay.pipeline.replays import ReplayTurns
from relay.store.books import Books
from relay.store.chores import Chores
from relay.store.corrections import Corrections
from relay.store.replays import Replays
from relay.store.server import Server
from relay.store.undelivered import Undelivered
from tests.integration.pipeline.rig import Rig


def replay_turns(rig: Rig) -> ReplayTurns:
    """A worker's part that continues replays."""
    return ReplayTurns(
        replays=Replays(rig.redis),
        events=rig.events,
        books=Books(rig.redis),
        endpoints=rig.endpoints,
        again=ReadingAgain(
            sources=rig.sources,
            routes=rig.routes,
            backfills=rig.backfills,
            old_rows=OldRows(books=Books(rig.redis), events=rig.events, undelivered=Undelivered(rig.redis)),
        ),
        correcting=Correcting(
            corrections=Corrections(rig.redis),
            replays=Replays(rig.redis),
            endpoints=rig.endpoints,
            applications=rig.applications,
            configuration=rig.configuration,
            events=rig.events,
        ),
        server=Server(rig.redis),
        chores=Chores(rig.redis),
    )


def replay_of(
    endpoint: Endpoint, replay_id: str = "qtask_1", *, states: tuple[Chosen | Reason, ...], end: int, **fields: Any
) -> Replay:
    """A replay of all events up to number `end`."""
    return Replay(
        id=replay_id,
        kind="endpoint.bulk-replay",
        application=endpoint.app_id,
        endpoint=endpoint.id,
        wanted=Wanted(states=states),
        end=end,
        created_ms=1,
        updated_ms=1,
        **fields,
    )

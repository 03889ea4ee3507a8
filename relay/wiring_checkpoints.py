"""What is put together where RELAY_CHECKPOINT_URL is set; apart from relay.wiring, because most processes have none."""

from collections.abc import Callable

from relay.config import Settings, variable
from relay.config.readings import plan_of
from relay.domain.model import Source
from relay.errors import Fault, Invalid
from relay.pipeline.checkpointing import Checkpointing
from relay.pipeline.checkpoints import Checkpoints
from relay.pipeline.clock import Clock
from relay.pipeline.marking import Marking
from relay.pipeline.restoring import Restoring
from relay.pipeline.vouching import Vouching
from relay.store.chores import Chores
from relay.store.copying import Copying
from relay.store.lives import Lives
from relay.store.low_water import LowWater
from relay.store.server import Server
from relay.store.vault import Vault
from relay.wiring import Stores


def vouching_of(
    settings: Settings, stores: Stores, clock: Clock, *, sources: Callable[[], list[Source]], is_manual: bool
) -> Vouching | None:
    """What compares the store with its checkpoint; None: there is none. `sources`: those that this process knows.

    Raises Invalid when the place of the checkpoint can't be used.
    """
    if settings.checkpoint_url is None:
        return None
    # Its library takes 5 MB of memory, which a process without a checkpoint does not need.
    from relay.outbound.objects import Objects

    try:
        checkpoints = Checkpoints(Objects(settings.checkpoint_url), Vault(settings.encryption_key))
    except ValueError as error:
        raise Invalid(Fault((variable("checkpoint_url"),), str(error))) from None
    copying, lives = Copying(stores.redis), Lives(stores.redis)
    low_water = LowWater(stores.redis, overlap=plan_of(settings).overlap, reach_s=settings.restore_reach_seconds)
    marking = Marking(low_water=low_water, lives=lives, configuration=stores.configuration, sources=sources)
    return Vouching(
        checkpoints=checkpoints,
        epochs=stores.epochs,
        copying=copying,
        chores=Chores(stores.redis),
        restoring=Restoring(
            checkpoints=checkpoints,
            epochs=stores.epochs,
            copying=copying,
            configuration=stores.configuration,
            sources=stores.sources,
            lives=lives,
            operations=stores.operations,
            server=Server(stores.redis),
            overlap_s=settings.overlap_seconds,
        ),
        checkpointing=Checkpointing(
            checkpoints=checkpoints,
            epochs=stores.epochs,
            copying=copying,
            marking=marking,
            operations=stores.operations,
            clock=clock,
        ),
        marking=marking,
        is_manual=is_manual,
    )

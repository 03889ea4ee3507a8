"""How the posts of operational events are put together."""

from relay.pipeline.clock import Clock
from relay.pipeline.operational_posts import OperationalPosts
from relay.pipeline.operational_subscriptions import OperationalSubscriptions
from relay.pipeline.posting import Posting
from relay.store.chores import Chores
from relay.store.outboxes import Outboxes
from relay.store.posts import Posts
from relay.wiring import Stores


def operational_posts_of(stores: Stores, clock: Clock) -> OperationalPosts:
    """What posts operational events. It reads operational endpoints with the first event."""
    subscriptions = OperationalSubscriptions(stores.configuration, stores.endpoints)
    return OperationalPosts(
        operations=stores.operations,
        outboxes=Outboxes(stores.redis),
        applications=stores.applications,
        endpoints=stores.endpoints,
        events=stores.events,
        subscriptions=subscriptions,
        posting=Posting(
            posts=Posts(stores.redis),
            applications=stores.applications,
            catalogue=subscriptions,
            operations=stores.operations,
            clock=clock,
        ),
        chores=Chores(stores.redis),
    )

"""Operational events become posts of the operator's application, which the relay sends as any other post."""

from msgspec import structs

from relay.domain.identity import posted_id
from relay.domain.model import Application, ApplicationId
from relay.domain.operational import is_about, operational_body
from relay.domain.post import Post
from relay.pipeline.posting import Posting
from relay.store.applications import Applications
from relay.store.operations import Operation, Operations
from relay.store.posts import Taken

AT_ONCE = 100
"""How many operational events one round posts at most."""


class OperationalPosts:
    """Posts the log of operational events, in its order, from the place where it last ended."""

    def __init__(self, operations: Operations, applications: Applications, posting: Posting) -> None:
        self._operations = operations
        self._applications = applications
        self._posting = posting

    async def post(self, application: ApplicationId) -> int:
        """Post what was noted since the last round, at most AT_ONCE; gives how many log entries it passed.

        The place is written after the append, and an entry's position is its `eventId`: a crash in between, or two
        workers at once, repeat only what the application has. Events about the application's own endpoints are passed
        over, because each callback about them could cause the next. Raises StoreFull, NotFound if the application was
        deleted, or StoreUnavailable: the next round continues from there.
        """
        to = await self._applications.get(application)
        entries = await self._operations.page(after=await self._operations.posted(), limit=AT_ONCE, descending=False)
        for entry in entries:
            if not is_about(entry.data, application):
                await self._append(to, entry)
                to = structs.replace(to, posts=True)
            await self._operations.set_posted(entry.position)
        return len(entries)

    async def _append(self, application: Application, entry: Operation) -> None:
        body = operational_body(entry.kind, entry.at_ms, entry.data)
        post = Post(event_type=entry.kind, event_id=entry.position)
        try:
            await self._posting.post(application, posted_id(application.id, entry.position), post, body)
        except Taken:
            return  # The process that posted it ended before it wrote the place down, or another one is at it.

"""`send-example`: a real callback with the example of an event type, to one endpoint."""

from litestar import post
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, OnceGiven, PostingGiven, StoresGiven
from relay.api.replays import called
from relay.api.schemas.messages import MessageOut, show_message
from relay.api.schemas.posts import EventExampleIn
from relay.domain.custom_types import is_own, subscription_fault
from relay.domain.event_examples import example_of
from relay.domain.identity import posted_id
from relay.domain.model import Application
from relay.domain.post import Post
from relay.domain.principals import Resource
from relay.domain.readers import privacy_of
from relay.errors import Fault, Invalid
from relay.store import journal
from relay.store.identifiers import new_id
from relay.store.journal import Change
from relay.wiring import Stores


@post(
    "/app/{app_id:str}/endpoint/{endpoint_id:str}/send-example",
    tags=["endpoint"],
    summary="Send an example",
    status_code=202,
    opt=needs(Resource.MESSAGE),
)
async def send_example(
    application: ApplicationGiven,
    endpoint_id: FromPath[str],
    data: JSONBody[EventExampleIn],
    stores: StoresGiven,
    posting: PostingGiven,
    clock: ClockGiven,
    once: OnceGiven,
) -> MessageOut:
    """Post the example of an event type as a message to this endpoint alone, whatever its types and its filter are.

    It is signed, retried and listed like all messages.
    """
    endpoint = await called(application, endpoint_id, stores)
    letters = once.letters if once else ""
    # No eventId begins like this, so none can take the id of another message.
    name = f" {letters or new_id('', now_ms=clock.now_ms())}"
    content = Post(event_type=data.event_type, request=letters)
    payload = await example_body(stores, data.event_type, application)
    journal.current().note(Change(f"endpoint/{endpoint.id}"))
    event = await posting.post(application, posted_id(application.id, name), content, payload, only=endpoint.id)
    return show_message(event, privacy_of(application), with_content=True)


async def example_body(stores: Stores, event_type: str, application: Application) -> bytes:
    """The body of the example. Raises Invalid for a type that the application's endpoints cannot select."""
    standing = await stores.event_types.standing([event_type], application.id)
    if (fault := subscription_fault(event_type, standing)) is not None:
        raise Invalid(Fault(("body", "eventType"), fault))
    if is_own(event_type):
        return example_of(event_type)
    return example_of(event_type, (await stores.event_types.get(event_type)).schemas)

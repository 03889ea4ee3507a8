"""Pollers: a subscriber reads its messages, and nothing is sent to it."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, StoresGiven
from relay.api.paging import LIMIT, Limit
from relay.api.poller_reading import PollerReading
from relay.api.schemas.common import ms
from relay.api.schemas.messages import ConsumerSeekIn, ConsumerSeekOut, PolledOut
from relay.domain.principals import Resource

PollIterator = Annotated[
    str | None, QueryParameter(max_length=16_384, description="The `iterator` of the response before")
]
OWN_PROGRAM = needs(Resource.MESSAGE, portal=False)
"""A consumer is the place of the subscriber's own program, which a person in the portal must not move."""


class PollerController(Controller):
    """`/api/v1/app/{app_id}/poller/{sink_id}`, in Svix's shapes. A sink is an endpoint."""

    path = "/app/{app_id:str}/poller/{sink_id:str}"
    tags = ["poller"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE)

    @get("/", summary="Poll")
    async def poll(
        self,
        application: ApplicationGiven,
        sink_id: FromPath[str],
        stores: StoresGiven,
        limit: Limit = LIMIT,
        iterator: PollIterator = None,
        event_type: Annotated[
            str | None,
            QueryParameter(
                max_length=256, description="Only messages that have this type, among those that the endpoint wants"
            ),
        ] = None,
        channel: Annotated[
            str | None, QueryParameter(max_length=128, description="Only posted messages with this channel")
        ] = None,
        after: Annotated[
            datetime | None, QueryParameter(description="Without `iterator`: begin after this time")
        ] = None,
    ) -> PolledOut:
        """Read the messages that an endpoint wants, oldest first: those after `iterator`.

        Without `iterator` and `after`, reading begins with the messages that were stored since a minute before the
        endpoint was created. The relay remembers nothing: you can repeat a request.
        """
        reading = PollerReading(stores, application, await stores.endpoints.get(application.id, sink_id))
        begin = reading.open(iterator, "") if iterator else await reading.begin(None if after is None else ms(after))
        shown, end, done = await reading.page(begin, limit=limit, event_type=event_type, channel=channel)
        return PolledOut(data=shown, iterator=reading.seal(end, ""), done=done)

    @get("/consumer/{consumer_id:str}", summary="Poll as a consumer", opt=OWN_PROGRAM)
    async def poll_as_consumer(
        self,
        application: ApplicationGiven,
        sink_id: FromPath[str],
        consumer_id: FromPath[str],
        stores: StoresGiven,
        limit: Limit = LIMIT,
        iterator: PollIterator = None,
    ) -> PolledOut:
        """Read the messages that an endpoint wants, and let the relay remember how far you are.

        `iterator` acknowledges the messages of the response that it is from, and reads those after it. Without it, the
        messages after the last acknowledged one come (again). The relay refuses an iterator with 409 if another client
        polled with this consumer id in the meantime. An endpoint can have 100 consumers; the relay forgets all
        consumers of an endpoint that none polls for 90 days.
        """
        endpoint = await stores.endpoints.get(application.id, sink_id)
        reading = PollerReading(stores, application, endpoint)
        if iterator:
            begin = reading.open(iterator, consumer_id)
            sent = reading.text(begin)
        else:
            sent = await stores.consumers.acknowledged(endpoint.id, consumer_id)
            begin = reading.parsed(sent) or await reading.begin(None)
        shown, end, done = await reading.page(begin, limit=limit)
        verb: Literal["acknowledge", "resume"] = "acknowledge" if iterator else "resume"
        await stores.consumers.turn(endpoint.id, consumer_id, verb, sent, given=reading.text(end))
        return PolledOut(data=shown, iterator=reading.seal(end, consumer_id), done=done)

    @post("/consumer/{consumer_id:str}/seek", summary="Move a consumer", status_code=200, opt=OWN_PROGRAM)
    async def seek(
        self,
        application: ApplicationGiven,
        sink_id: FromPath[str],
        consumer_id: FromPath[str],
        data: JSONBody[ConsumerSeekIn],
        stores: StoresGiven,
    ) -> ConsumerSeekOut:
        """Let a consumer continue with the first message that was stored after a time, back or forth."""
        endpoint = await stores.endpoints.get(application.id, sink_id)
        reading = PollerReading(stores, application, endpoint)
        begin = await reading.begin(ms(datetime.fromisoformat(data.after)))
        mark = reading.text(begin)
        await stores.consumers.turn(endpoint.id, consumer_id, "seek", mark, given=mark)
        return ConsumerSeekOut(iterator=reading.seal(begin, consumer_id))

"""Who reads an event: an application in its lists, or one of its endpoints. The privacy rules of both."""

from relay.domain.envelope import body, head
from relay.domain.model import Application, Endpoint, StoredEvent
from relay.domain.privacy import Privacy, protect


def privacy_of(application: Application, endpoint: Endpoint | None = None) -> Privacy:
    """The rules for what an application is shown, or (with an endpoint) for what is sent to the endpoint."""
    own = endpoint.privacy if endpoint is not None else ()
    return Privacy(rules=(*application.privacy, *own), key=application.token_key)


def protected(event: StoredEvent, code: int, privacy: Privacy) -> bytes:
    """The body of an event, as one of its types, as a reader may have it. A posted payload is as it was posted."""
    if event.post is not None:
        return body(event, code)
    return head(code) + protect(event.body, privacy)

"""The numbers of a status are those of Svix's client, wherever one is answered or given."""

from svix.models import MessageStatus, MessageStatusText

from relay.api.schemas import messages
from tests.integration.api.documented import Documented


def test_the_numbers_are_svixs(application: Documented) -> None:
    """The texts agree, and lists can be asked for each of them."""
    ours = {
        "SUCCESS": messages.SUCCESS,
        "PENDING": messages.PENDING,
        "FAIL": messages.FAIL,
        "SENDING": messages.SENDING,
        "CANCELED": messages.CANCELED,
    }
    assert ours == {status.name: status.value for status in MessageStatus if status.name in ours}
    assert list(messages.STATUS_TEXT) == [str(MessageStatusText[MessageStatus(n).name]) for n in sorted(ours.values())]
    asked = [
        parameter["schema"]["enum"]
        for item in application.state.document["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "status" and isinstance(parameter["schema"]["enum"][0], int)
    ]
    assert asked == [[status.value for status in MessageStatus]] * len(asked)
    assert len(asked) == 3

"""What a log shows, and what it must never show."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from relay.domain.model import Secret
from relay.observability import mask, setup_logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def shown(**event: object) -> dict[str, object]:
    return dict(mask(None, "info", dict(event)))


@pytest.mark.parametrize(
    "text",
    [
        "+447946000958",
        "02079460958",
        "call from 020 7946 0958 ended",
        "(0) 20 7946 0958",
        "+1 (212) 555-0142",
        "dialled=441174960123,",
    ],
)
def test_a_phone_number_shows_two_digits_at_most(text: str) -> None:
    """However it is written, a phone number in a value leaves only its last two digits."""
    masked = str(shown(error=text)["error"])
    assert sum(map(str.isdigit, masked)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T03:21:51.123456Z",
        "2026-11-24 03:21:51",
        "192.168.100.200:8080",
        "123e4567-e89b-12d3-a456-426614174000",
        "msg_ab12345678901cd",
        "took 12345678 ms",
    ],
)
def test_what_is_no_phone_number_stays(text: str) -> None:
    """Times, addresses, ids and short numbers can be read in the log."""
    assert shown(detail=text) == {"detail": text}


def test_our_own_numbers_stay() -> None:
    """A rowId and a number of milliseconds look like phone numbers, and are needed."""
    assert shown(row_id="141248745", cursor=141248745) == {"row_id": "141248745", "cursor": 141248745}


@pytest.mark.parametrize(
    "name",
    ["secret", "client_secret", "api_key", "password", "Authorization", "webhook-signature", "redis_url", "token"],
)
def test_a_field_with_a_secrets_name_is_hidden(name: str) -> None:
    """Whatever stands under such a name, at any depth, does not stand in the log."""
    assert "hunter2" not in str(shown(**{name: "hunter2"}, headers={name: ["hunter2"]}))


@pytest.mark.parametrize(
    "text",
    [
        "bad secret whsec_aHVudGVyMg==",
        "Authorization: Bearer aHVudGVyMg",
        "no route to redis://user:aHVudGVyMg@host:6379/0",
        "ApiKey aHVudGVyMg refused",
    ],
)
def test_a_secret_inside_a_text_is_hidden(text: str) -> None:
    """A secret that an error message quotes is cut out by its form."""
    assert "HVud" not in str(shown(error=RuntimeError(text), detail=text))


def test_objects_show_their_class_only() -> None:
    """A struct, a body or a Secret that was logged by mistake shows nothing of what it holds."""
    event = shown(
        thing=object(), body=b"+447946000958", kept=Secret("hunter2"), rows=[{"srcPhoneNumber": "07946000958"}]
    )
    assert event["thing"] == "<object>"
    assert event["body"] == "<bytes>"
    assert "hunter2" not in str(event)
    assert "7946" not in str(event)


def test_json_lines_carry_event_level_time_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object per line, with what was bound to the context, from the relay and from libraries alike."""
    setup_logging("json", "info")
    structlog.contextvars.bind_contextvars(source="main")
    structlog.get_logger().info("route_polled", rows=3)
    logging.getLogger("some.library").warning("from %s", "+447946000958")
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["level"], ours["rows"], ours["source"]) == ("route_polled", "info", 3, "main")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["logger"]) == ("from ••••58", "some.library")


def test_lines_below_the_level_and_chatty_libraries_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """The level holds for everything, and libraries that would print every URL only speak when something is wrong."""
    setup_logging("text", "info")
    structlog.get_logger().debug("hidden")
    logging.getLogger("httpx").info("hidden too")
    structlog.get_logger().info("visible", attempts=2)
    printed = capsys.readouterr().err
    assert "hidden" not in printed
    assert "visible" in printed
    assert "attempts=2" in printed


def test_a_traceback_is_logged_without_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    """An unexpected error is logged with its traceback, and its message is masked like every other text."""
    setup_logging("json", "info")
    local = "+447946000958"
    try:
        raise ValueError(f"cannot read {local}")
    except ValueError:
        structlog.get_logger().exception("broken")
    line = json.loads(capsys.readouterr().err)
    assert "ValueError" in line["exception"]
    assert "79460009" not in line["exception"]

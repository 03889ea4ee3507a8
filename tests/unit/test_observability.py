"""What a log shows, and what it must never show."""

import json
import logging
import platform
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog

from relay import observability
from relay.domain.model import Secret
from relay.observability import catch_strays, counting_repeats, mask, setup_logging
from relay.observability.repeats import Repeats


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
        "tel:+447946000958",
        "sip:447946000958@host",
        "447946000958: no answer",
        "x447946000958",
        "447946000958abc",
        "caller_447946000958_leg",
        "from-447946000958",
        "v.447946000958",
        "212.555.0142",
        "020.7946.0958",
        "(020)7946.0958",
        "4479460009584479460009",
        "٤٤٧٩٤٦٠٠٠٩٥٨",
        "2026-11-24 03:21:51 447946000958"[20:],
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
        "ep_2ab12345678901cd99 and app_123456789012",
        "2026-11-24T03:21:51.123456+00:00, 2026-11-24",
        "10.0.0.1:65535 and 2001:db8:1234:5678:9012:3456:7890:1",
        "rows 12, 13, 14, 15, 16",
        "5f4dcc3b5aa765d61d8327deb882cf99123456789",
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


HOSTILE = [
    "one\nINFO forged line",
    "one\r\ntwo",
    "\x1b[31mred\x1b]0;title\x07",
    "nul\x00byte",
    "c1\x9b31m",
    "\u2028line\u2029separators",
    "\u202eright to left\u2066",
    "lone \ud800 surrogate",
    "delete\x7f",
]


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_control_characters_never_reach_a_log(text: str, log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As an event, a value, a name, inside of lists and errors, from the relay and from libraries, in both formats."""
    setup_logging(log_format, "info")
    structlog.get_logger().info("event", value=text, inner={text: [text]}, error=ValueError(text))
    structlog.get_logger().info(text, **{text: "x"})
    logging.getLogger("some.library").warning("from %s", text)
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 3
    assert all(line.isprintable() for line in printed.split("\n"))


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_line_of_a_traceback_looks_like_a_line_of_the_log(
    text: str, log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an error quotes is indented, and its control characters are escaped."""
    setup_logging(log_format, "info")
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger().exception("broken")
        logging.getLogger("some.library").exception("broken")
    for line in capsys.readouterr().err.split("\n"):
        assert line.isprintable()
        assert not line.startswith(("INFO forged", "two"))


def test_long_things_are_cut_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """A path of 50 kB, a deep or wide object, a number of 5,000 digits, and an error that quotes a whole page."""
    setup_logging("json", "info")
    path = "/" + "x" * 50_000
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    wide = {path + str(n): n for n in range(5000)}
    structlog.get_logger().info("cut", path=path, words="word " * 20_000, deep=deep, wide=wide, big=10**5000)
    logging.getLogger("some.library").warning("GET %s", path)
    try:
        raise ValueError("\n".join([path] * 300))
    except ValueError:
        structlog.get_logger().exception("broken")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"][:6] for line in lines] == ["cut", "GET /x", "broken"]
    assert len(lines[0]) < 20_000
    assert len(lines[1]) < 3_000
    assert len(lines[2]) < 150_000
    assert "(50001 characters)" in lines[0]


@pytest.mark.parametrize(
    "secret", ["+447946000958", "Bearer aHVudGVyMg", "whsec_aHVudGVyMg==", "redis://user:aHVudGVyMg@h/"]
)
def test_what_is_cut_leaves_no_half_of_a_secret_or_a_number(secret: str) -> None:
    """Wherever the cut falls, what stands before it is as masked as it would be uncut."""
    for begin in range(1950, 2010):
        for filler in ("x " * 2000, "/" * 4000):
            shown_text = str(shown(detail=filler[:begin] + secret + " and more" * 100)["detail"])
            rest = shown_text.partition("characters)")[0].rpartition("(")[0]
            assert "HVud" not in shown_text
            assert sum(map(str.isdigit, rest)) <= 2


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


def test_every_line_names_its_pod(capsys: pytest.CaptureFixture[str]) -> None:
    """In both formats, so that lines of several pods can be told apart."""
    setup_logging("json", "info")
    structlog.get_logger().info("ours")
    logging.getLogger("some.library").warning("theirs")
    assert {json.loads(line)["pod"] for line in capsys.readouterr().err.splitlines()} == {platform.node()}
    setup_logging("text", "info")
    structlog.get_logger().info("ours")
    assert f"pod={platform.node()}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("POST https://crm.example.com/hooks/t0ken?k=t0ken failed", "POST https://crm.example.com/•••• failed"),
        ("no answer of http://10.0.0.1:8080/t0ken", "no answer of http://10.0.0.1:8080/••••"),
        ("see 'https://crm.example.com?k=t0ken'", "see 'https://crm.example.com/••••'"),
        ("at https://crm.example.com", "at https://crm.example.com"),
        ("Max retries exceeded with url: /t0ken/v1/traces (x)", "Max retries exceeded with url: /•••• (x)"),
        ("Set RELAY_REDIS_URL to redis+sentinel://host:26379/name", "Set RELAY_REDIS_URL to redis+sentinel://host:26379/name"),
        ("ask jo.t0ken+x@example.com", "ask ••••@example.com"),
        ("https://jo:t0ken@crm.example.com/t0ken", "https://••••@crm.example.com/••••"),
    ],
)  # fmt: skip
def test_the_path_of_a_url_and_the_name_in_a_mail_address_are_hidden(text: str, seen: str) -> None:
    """A webhook's path is often its only secret. Hosts can be read."""
    assert shown(error=text)["error"] == seen


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn.error", "uvicorn.access", "arq.worker", "arq.jobs"])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_lines_of_servers_and_of_the_queue_go_the_same_way(
    name: str, log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even if uvicorn's command has given its loggers handlers of their own."""
    own = logging.getLogger(name)
    own.addHandler(logging.StreamHandler(sys.stdout))
    own.propagate = not name.startswith("uvicorn")
    setup_logging(log_format, "info")
    own.info("GET /path?q=1")
    own.error("%s\nforged \x1b[31m +447946000958", "GET /app")
    printed = capsys.readouterr()
    own.handlers.clear()
    assert "\x1b[31m" not in printed.err
    assert len(printed.err.splitlines()) == 1
    assert "••••58" in printed.err
    assert "q=1" not in printed.out + printed.err


def test_lines_that_repeat_are_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once, then one with the count: of the relay, and of libraries whatever stands in their messages."""
    now = 0
    monkeypatch.setattr("relay.observability.Repeats", lambda: Repeats(lambda: now))
    setup_logging("json", "debug")
    log, library = structlog.get_logger(), logging.getLogger("some.library")
    for number in range(5):
        log.warning("attempt_failed", endpoint="a", status=500, message=number)
        log.debug("attempt_delivered", endpoint="a")
        log.info("api_change", status=200)
        library.warning("lost %s", number)
    log.warning("attempt_failed", endpoint="b", status=500)
    log.warning("attempt_failed", endpoint="a", status=401)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines].count("attempt_failed") == 3
    assert [line["event"] for line in lines].count("attempt_delivered") == 5
    assert [line["event"] for line in lines].count("api_change") == 5
    assert [line["event"] for line in lines if "logger" in line] == ["lost 0"]
    now = 60_000
    observability._repeats.flush()
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["endpoint"], ours["status"], ours["message"]) == ("attempt_failed", "a", 500, 4)
    assert (ours["repeated"], ours["level"]) == (4, "warning")
    assert (theirs["event"], theirs["logger"], theirs["repeated"]) == ("lost 4", "some.library", 4)


async def test_counts_that_are_left_are_written_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """A process that ends loses none."""
    setup_logging("json", "info")
    async with counting_repeats():
        for _ in range(3):
            structlog.get_logger().info("again")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("repeated") for line in lines] == [None, 2]


def test_an_error_that_repeats_holds_on_to_no_frame(capsys: pytest.CaptureFixture[str]) -> None:
    """The count of a traceback's line is a line without it."""
    setup_logging("json", "info")
    for _ in range(2):
        try:
            raise ValueError("broken")
        except ValueError:
            structlog.get_logger().exception("failed")
    observability._repeats.flush(everything=True)
    first, count = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert "ValueError" in first["exception"]
    assert (count["repeated"], "exception" in count) == (1, False)


def test_what_python_prints_itself_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """The exception that ends the process, or a thread, and warnings: masked, and in lines that cannot be forged."""
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    setup_logging("json", "info")
    try:
        catch_strays()
        error = ValueError("+447946000958\nforged")
        sys.excepthook(ValueError, error, None)
        threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
        warnings.showwarning("+447946000958\nforged", UserWarning, "x.py", 1)
    finally:
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines][:2] == ["process_failed", "thread_failed"]
    assert len(lines) == 3
    assert "7946000958" not in str(lines)

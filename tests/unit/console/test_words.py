"""How the console writes values, and draws charts."""

import doctest
from types import ModuleType

import pytest

from relay.console import charts, forms, visits, words
from relay.console.api import FieldFault, Refused, refused
from relay.console.charts import BOTTOM, HEIGHT, LEFT, WIDTH, Series, stacked
from relay.console.forms import Entry, MalformedError, json_of
from relay.console.pages import source_credentials, undelivered
from relay.console.rendering import environment
from relay.console.states import STATES, state_of

SERIES = [Series("success", "Succeeded", "good"), Series("fail", "Failed", "bad")]
SPAN = {"since": "2026-09-21T10:00:00.000Z", "until": "2026-09-21T14:00:00.000Z", "step_s": 3600}


@pytest.mark.parametrize("module", [words, charts, forms, visits, source_credentials, undelivered])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    """They are what the filters of the templates do."""
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-09-21T14:13:20.000Z", "now"),
        ("2026-09-21T14:12:05.000Z", "1 min ago"),
        ("2026-09-21T16:13:20.000Z", "in 2 h"),
        ("2026-09-14T14:13:20.000Z", "7 d ago"),
    ],
)
def test_times_are_distances_with_the_full_time(text: str, said: str) -> None:
    """The full time is in `title` and `datetime`."""
    made = environment().from_string("{{ at|ago }}").render(at=text, now_ms=1_790_000_000_000)
    assert f">{said}</time>" in made
    assert f'datetime="{text}" title="{words.full(text)}"' in made


def test_a_chart_has_a_slot_for_each_span_and_stays_in_its_box() -> None:
    """Spans without a bucket are empty, and a single failure can be seen beside thousands of successes."""
    chart = stacked([{"at": "2026-09-21T12:00:00.000Z", "success": 9000, "fail": 1}], SERIES, **SPAN)  # type: ignore[arg-type]
    assert [len(slot.bars) for slot in chart.slots] == [0, 0, 2, 0]
    assert [series.total for series in chart.legend] == [9000, 1]
    for bar in chart.slots[2].bars:
        assert LEFT <= bar.x < bar.x + bar.width <= WIDTH
        assert 0 <= bar.y < bar.y + bar.height <= BOTTOM + 2 < HEIGHT
        assert bar.height >= 2
    assert chart.slots[2].title == "2026-09-21 12:00 UTC: succeeded 9,000, failed 1"


@pytest.mark.parametrize("minutes", range(1, 200, 3))
def test_labels_of_a_chart_stay_in_its_box(minutes: int) -> None:
    """Also that of the last slot, however narrow it is. A label is about 30 wide."""
    until = f"2026-09-21T{10 + minutes // 60}:{minutes % 60:02}:00.000Z"
    chart = stacked([], SERIES, since="2026-09-21T10:00:00.000Z", until=until, step_s=60)
    assert all(0 <= tick.x - 15 < tick.x + 15 <= WIDTH for tick in chart.ticks)
    assert chart.slots[-1].x + chart.slots[-1].width <= WIDTH


def test_a_chart_of_nothing_is_a_chart() -> None:
    """Its axis ends at 1."""
    assert [line.text for line in stacked([], SERIES, **SPAN).lines] == ["0", "1"]  # type: ignore[arg-type]


def test_faults_stand_at_their_fields() -> None:
    """What the API says about a field is shown there, and everything else above the form."""
    error = Refused(422, "invalid", "", (FieldFault(("body", "url"), "bad"), FieldFault(("body", "other", "0"), "odd")))
    entry = Entry({"url": "x", "name": None}, error)
    assert (entry.faults("url"), entry.others, entry.value("name"), entry.value("url")) == (["bad"], ["Odd."], "", "x")


def test_malformed_json_says_where() -> None:
    """Also if it is nested without end."""
    with pytest.raises(MalformedError, match="line 1 column 2"):
        json_of("{x")
    with pytest.raises(MalformedError):
        json_of("[" * 100_000)


def test_an_answer_that_is_no_problem_document() -> None:
    """Is a failure of the relay."""
    assert refused(500, b"<html>").code == "internal_error"


def test_states_have_words() -> None:
    """A state of a newer API is shown as it is."""
    assert all(state.word[:1].isupper() for state in STATES.values())
    assert state_of("half_done") == ("Half done", "quiet")
    assert state_of(None).word == "Unknown"

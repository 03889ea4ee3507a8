"""What `relay apply` plans: nothing twice, nothing for its own export, and no secret in what it prints."""

import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.cli.client.api import Answer
from relay.cli.declaring import shapes, showing
from relay.cli.declaring.document import Document, read
from relay.cli.declaring.exporting import Export
from relay.cli.declaring.hiding import Hiding
from relay.cli.declaring.planning import Change, Present, of_recipe, plan
from relay.cli.faults import Misused
from relay.domain.model import DISABLED_BY_HAND
from tests.unit.cli.declared import FILES, carried_out

FEW = settings(max_examples=40)
"""Each example is two files of up to eight objects."""
SECRETS = ("k" * 12, "p" * 12, "t" * 12, "v" * 12, "s" * 12, "QUFB")


def document_of(whole: Any) -> Document:
    """What a file declares."""
    return read(yaml.safe_dump(escape(whole)), {})[0]


def escape(value: Any) -> Any:
    """A generated text is no variable."""
    text = json.dumps(value)
    return json.loads(text.replace("${A", "$${A"))


@FEW
@given(FILES, FILES)
def test_what_was_applied_differs_no_more(first: Any, second: Any) -> None:
    """From nothing, and from what another file left: after one run, a second one has nothing to do."""
    present = Present()
    for whole in (first, second):
        document = document_of(whole)
        present = carried_out(plan(document, present), present)
        assert plan(document, present) == []


@FEW
@given(FILES, FILES)
def test_what_is_pruned_is_gone_and_no_more(first: Any, second: Any) -> None:
    """With --prune, the sections that the second file has hold exactly what it declares. Others stay."""
    present = carried_out(plan(document_of(first), Present()), Present())
    document = document_of(second)
    after = carried_out(plan(document, present, prune=True), present)
    assert plan(document, after, prune=True) == []
    expected = present.sources.keys() if document.sources is None else document.sources.keys()
    assert after.sources.keys() == set(expected)
    if document.applications is not None:
        assert after.applications.keys() == document.applications.keys()
        assert all(after.endpoints[app].keys() == declared.keys() for app, declared in document.endpoints.items())


@FEW
@given(FILES, st.booleans())
def test_an_export_changes_nothing(whole: Any, placeholders: bool) -> None:
    """What `relay export` prints is what the relay has, with or without placeholders for secrets."""
    present = carried_out(plan(document_of(whole), Present()), Present())
    export = Export(present, placeholders=placeholders)
    # A placeholder of a URL must be one of the same origin, as the real one is.
    secret_url = "https://hooks.example/three/abcdefghijkl"
    environ = {name: secret_url if name.endswith("URL") else "x" * 12 for name in export.secrets.values()}
    environ |= {name: "whsec_" + "QUFB" * 8 for name in environ if name.endswith("_SECRET")}
    document, used = read(export.text(), environ)
    assert plan(document, present, prune=True) == []
    assert not placeholders or used.keys() == set(export.secrets.values())
    assert not any(secret in export.text() for secret in SECRETS)


@FEW
@given(FILES, FILES)
def test_no_secret_is_printed(first: Any, second: Any) -> None:
    """Neither for people nor for programs, whatever changes."""
    present = carried_out(plan(document_of(first), Present()), Present())
    for changes in (plan(document_of(first), Present()), plan(document_of(second), present, secrets=True)):
        hiding = Hiding({})
        fields = (field for change in showing.as_json(changes, hiding) for field in change["fields"])
        shown = [*showing.lines(changes, hiding), *(json.dumps(field, ensure_ascii=False) for field in fields)]
        printed = "\n".join(shown)
        assert not any(secret in printed for secret in SECRETS)
        assert "w" * 12 not in printed.replace('"X-Team": "' + "w" * 12, "")
        # A URL that is a secret is hidden before and after.
        assert not any("/abcdefghijkl" in each and "••••" in each for each in shown)


@FEW
@given(FILES, st.data())
def test_a_run_that_died_is_completed_by_the_next_one(whole: Any, data: st.DataObject) -> None:
    """After any number of its changes, the rest is planned again, and no source stays paused by mistake."""
    document = document_of(whole)
    changes = plan(document, Present())
    died = data.draw(st.integers(0, len(changes)))
    present = carried_out(changes[:died], Present())
    after = carried_out(plan(document, present), present)
    assert plan(document, after) == []
    assert after == carried_out(changes, Present())
    for uid, body in (document.sources or {}).items():
        assert after.sources[uid]["paused"] is bool(body.get("paused"))


def test_a_new_source_starts_when_its_subscribers_exist() -> None:
    """An application can name only sources that exist, and no row may come before its endpoints."""
    whole = {
        "sources": {"main": {"baseUrl": "https://x.example", "igrp": 1, "routes": ["all"]}},
        "applications": {"crm": {"sources": ["main"], "endpoints": {"all": {"url": "https://crm.example"}}}},
    }
    changes = plan(document_of(whole), Present())
    assert [f"{each.action} {each.title}" for each in changes] == [
        "create source main", "create application crm", "create endpoint crm/all", "start source main",
    ]  # fmt: skip
    assert changes[0].body["paused"] is True


def test_a_paused_source_that_polled_stays_paused() -> None:
    """Somebody paused it, and the file does not say that it polls."""
    whole = {"sources": {"main": {"baseUrl": "https://x.example", "igrp": 1, "routes": ["all"]}}}
    document = document_of(whole)
    present = carried_out(plan(document, Present()), Present())
    polled = {**present.sources["main"], "paused": True, "routeStates": {"all": {"lastPollAt": "now", "cursor": 1}}}
    assert plan(document, Present(sources={"main": polled})) == []


def test_fields_that_are_not_declared_stay() -> None:
    """Only a declared null removes a filter, because an omission must not open an endpoint to other rows."""
    declared = {
        "applications": {"crm": {"endpoints": {"all": {"url": "https://crm.example", "filter": {"act": "call"}}}}}
    }
    present = carried_out(plan(document_of(declared), Present()), Present())
    less = {"applications": {"crm": {"endpoints": {"all": {"url": "https://crm.example"}}}}}
    assert plan(document_of(less), present) == []
    less["applications"]["crm"]["endpoints"]["all"]["filter"] = None  # type: ignore[assignment]
    (change,) = plan(document_of(less), present)
    assert [(each.name, each.before, each.after) for each in change.differences] == [("filter", {"act": "call"}, None)]


def test_an_endpoint_of_a_recipe_is_compared_with_what_the_recipe_makes() -> None:
    """And it is created by the recipe, so that the relay checks the parameters."""
    body = {"recipe": "x", "parameters": {"token": "abc"}, "maxInFlight": 2}
    recipe = {"url": "https://crm.example", "verdicts": [{"status": "409", "verdict": "exists"}], "maxInFlight": 1}
    whole = of_recipe(body, recipe)
    document = Document(applications={"crm": {}}, endpoints={"crm": {"all": body}}, of_recipes={("crm", "all"): whole})
    changes = plan(document, Present(applications={"crm": {"uid": "crm"}}))
    (creation,) = (each for each in changes if each.kind == "endpoint")
    assert creation.body == {**body, "uid": "all"}
    made = carried_out(plan(document_of(as_file(recipe | {"maxInFlight": 2})), Present()), Present())
    assert plan(document, made) == []
    other = carried_out(plan(document_of(as_file(recipe | {"maxInFlight": 3})), Present()), Present())
    (change,) = plan(document, other)
    assert change.body == {"maxInFlight": 2}


def as_file(endpoint: dict[str, Any]) -> dict[str, Any]:
    """A file with one endpoint."""
    return {"applications": {"crm": {"endpoints": {"all": endpoint}}}}


def filtered(value: str) -> str:
    """A file with one application, whose filter has a value."""
    return f"applications: {{a: {{filter: {{dgrp: {value}}}}}}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources: [", "not YAML"),
        ("sources: {a: 1}", "sources.a: must be a mapping"),
        ("source: {}", "source: is unknown. A file has sources and applications"),
        ("sources: {'a/b': {}}", "sources.a/b: the uid must be 1 to 128 letters"),
        ("sources: {a: {uid: b}}", "sources.a.uid: cannot be declared"),
        ("sources: {a: {baseURL: x}}", "sources.a.baseURL: is not a field of this object; did you mean `baseUrl`?"),
        ("sources: {a: {routes: [calls, cals]}}", "sources.a.routes[1]: must be one of `all`, `calls`"),
        (
            "applications: {a: {endpoints: {b: {throttleRate: many}}}}",
            "applications.a.endpoints.b.throttleRate: must be an integer or null, not a string",
        ),
        (
            "applications: {a: {endpoints: {b: {auth: {type: x}}}}}",
            "applications.a.endpoints.b.auth.type: must be one of `basic`, `bearer`",
        ),
        (
            "applications: {a: {endpoints: {b: {disabled: 'no'}}}}",
            "b.disabled: must be true or false or null, not a string",
        ),
        (
            "sources: {a: {routes: [], igrp: x}}",
            "sources.a.igrp: must be an integer, not a string; sources.a.routes: must",
        ),
        ("sources: {a: {routes: []}}", "sources.a.routes: must have at least 1 entry, not 0"),
        ("applications: {app_1: {}}", "applications.app_1: the uid must be"),
        ("applications: {a: {name: '${NOPE}', metadata: {x: '${ALSO_NOT}'}}}", "not set: NOPE, ALSO_NOT"),
        ("applications: {a: {name: x, name: y}}", "'name' stands twice"),
        ("applications: {1: {}}", "'1' must be a text: quote it, at line 1"),
        ("applications:\n  no: {}", "'no' must be a text: quote it, at line 2"),
        ("applications: {0123: {}}", "'0123' must be a text: quote it"),
        ("sources:", "sources: is empty. Write `sources: {}` if there are none, or leave it out"),
        ("applications: {a: {endpoints: }}", "applications.a.endpoints: is empty. Write `endpoints: {}`"),
        (filtered(".nan"), "applications.a.filter.dgrp: must not be NaN or infinity"),
        (filtered("[1, -.inf]"), "applications.a.filter.dgrp[1]: must not be NaN or infinity"),
        (filtered("1.0e+999"), "applications.a.filter.dgrp: must not be NaN or infinity"),
        (filtered("!!binary aGk="), "applications.a.filter.dgrp: must be a value that JSON has"),
        (filtered("!!set {a}"), "applications.a.filter.dgrp: must be a value that JSON has"),
        (filtered("&a {x: *a}"), "the alias *a stands inside of the value that it stands for"),
        (filtered("*a"), "undefined alias"),
        (filtered("[" * 48 + "]" * 48), "the file is nested more than 50 deep, at line 1"),
        (filtered("[" * 3000 + "]" * 3000), "the file is nested more than 50 deep, at line 1"),
        ("a0: &a0 x\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60)), "more than 50 deep, at line 51"),
        ("a0: &a0 x\n" + "\n".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 20)), "200000 values"),
        ("x: [" + "1," * 200_000 + "]", "the file has more than 200000 values"),
        ("x" * (4 * 2**20 + 1), "the file has more than 4 MiB"),
        (filtered("9" * 5000), "a whole number must have at most 100 digits"),
    ],
    ids=itertools.count(),
)
def test_a_wrong_file_is_refused_before_anything_is_asked(text: str, says: str) -> None:
    """With the place and what is wrong."""
    with pytest.raises(Misused) as refused:
        read(text, {})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("compare", "declared", "shown", "is_same"),
    [
        (shapes.same_headers, {"X-Team": "a"}, {"x-team": "a"}, True),
        (shapes.same_headers, {"X-Team": "a"}, {"X-Team": "b"}, False),
        (shapes.same_headers, {"X-Team": None}, {"X-Team": "b"}, True),
        (shapes.same_headers, {"Authorization": "a"}, {"Authorization": None}, True),
        (shapes.same_headers, {}, {"X-Team": "b"}, False),
        (shapes.same, None, {}, True),
        (shapes.same, "", None, True),
        (shapes.same, 0, None, False),
        (shapes.same, 60, 60.0, True),
        (shapes.same_strictly, [], None, False),
        (shapes.same_set, ["a", "b"], ["b", "a"], True),
        (shapes.same_set, [], None, False),
        (shapes.same_credentials, None, {"type": "bearer"}, False),
        (shapes.same_credentials, {"type": "bearer", "token": "x"}, {"type": "bearer"}, True),
        (shapes.same_credentials, {"type": "basic", "username": "a"}, {"type": "basic", "username": "b"}, False),
        (shapes.same_base_url, "https://x/", "https://x", True),
    ],
)
def test_what_is_the_same(compare: shapes.Same, declared: Any, shown: Any, is_same: bool) -> None:
    """As far as it can be seen."""
    assert compare(declared, shown) is is_same


def test_the_example_of_the_page_is_what_apply_reads() -> None:
    """With every variable that it names."""
    page = (Path(__file__).parents[3] / "docs/cli.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    secret = "whsec_" + "QUFB" * 8
    document, used = read(example, dict.fromkeys(("INFINITY_KEY", "CALLS_SECRET", "SLACK_URL"), secret))
    assert len(used) == 3
    assert [each.title for each in plan(document, Present())] == [
        "source main", "application crm", "endpoint crm/calls", "endpoint crm/missed", "source main",
    ]  # fmt: skip


def test_a_value_that_stands_twice_can_be_an_alias() -> None:
    """Each time it is a copy."""
    text = "applications: {a: &a {name: x, filter: &f {act: call}}, b: {filter: *f}, c: *a}"
    document = read(text, {})[0]
    assert document.applications is not None
    assert [each["filter"] for each in document.applications.values()] == [{"act": "call"}] * 3


def test_a_mapping_can_take_the_names_of_another() -> None:
    """As in most files that people write, with the merge key of YAML. Names of its own count."""
    text = "applications: {a: &a {name: x, filter: {act: call}}, b: {<<: *a, name: y}, c: {name: =}}"
    document = read(text, {})[0]
    assert document.applications is not None
    assert document.applications["b"] == {"name": "y", "filter": {"act": "call"}}
    assert document.applications["c"] == {"name": "="}


@pytest.mark.parametrize(
    ("reason", "expected"), [(None, True), (DISABLED_BY_HAND, True), ("no attempt succeeded for 5 days", None)]
)
def test_an_export_has_what_an_operator_disabled(reason: str | None, expected: bool | None) -> None:
    """A new relay must not call it. What the relay disabled is its own decision, which a file must not repeat."""
    shown = {"url": "https://crm.example/x", "type": "webhook", "disabled": True, "disabledReason": reason}
    endpoints = {"crm": {"calls": shown}}
    export = Export(Present(applications={"crm": {"name": "CRM"}}, endpoints=endpoints))
    assert export.whole["applications"]["crm"]["endpoints"]["calls"].get("disabled") is expected


@pytest.mark.parametrize(("kind", "expected"), [("webhook", "${CRM_CALLS_SECRET}"), ("poller", None)])
def test_placeholders_have_the_secret_that_signs(kind: str, expected: str | None) -> None:
    """On another relay, receivers verify with the secrets that they have."""
    endpoints = {"crm": {"calls": {"url": "https://crm.example/x", "type": kind}}}
    present = Present(applications={"crm": {"name": "CRM"}}, endpoints=endpoints)
    whole, plain = Export(present, placeholders=True).whole, Export(present)
    assert whole["applications"]["crm"]["endpoints"]["calls"].get("secret") == expected
    assert "secret" not in plain.whole["applications"]["crm"]["endpoints"]["calls"]
    assert ("applications.crm.endpoints.calls.secret" in plain.text()) is (kind == "webhook")


def test_an_export_leaves_out_empty_objects_of_an_answer() -> None:
    """They are defaults, whichever type of mapping the client reads them as."""
    shown = Answer(name="a", metadata=Answer(), budgets=Answer())
    assert Export(Present(applications={"a": shown})).whole["applications"] == {"a": {"name": "a", "endpoints": {}}}


@pytest.mark.parametrize("text", ["a\u202eb", "a\x9b2J\nb", "\u2028", "a\u00a0b\nc", "a\nb", "\ufeffé 😀"])
def test_an_export_shows_a_terminal_nothing_raw(text: str) -> None:
    """And is read as what it was."""
    shown = {"name": text, "sources": None, "filter": None, "throttleRate": None}
    exported = Export(
        Present(applications={"a": shown | {"budgets": {}, "metadata": {text: text}, "privacy": []}})
    ).text()
    assert exported.replace("\n", "").isprintable()
    loaded = yaml.safe_load(exported)["applications"]["a"]
    assert (loaded["name"], loaded["metadata"]) == (text, {text: text})


def test_a_mapping_with_many_names_is_read_at_once() -> None:
    """Whether a name stands twice is not looked for from the beginning again and again."""
    began = time.monotonic()
    with pytest.raises(Misused, match="metadata: must have at most 50 keys, not 20000"):
        read("applications: {a: {metadata: {" + ", ".join(f"k{n}: v" for n in range(20_000)) + "}}}", {})
    assert time.monotonic() - began < 10


def test_a_variable_that_is_not_utf_8_is_said() -> None:
    """By its name."""
    with pytest.raises(Misused, match="the variable TOKEN is not UTF-8"):
        read("applications: {a: {name: '${TOKEN}'}}", {"TOKEN": "\udce9"})


def test_a_refusal_of_a_file_does_not_show_a_secret() -> None:
    """That stands in the wrong place."""
    with pytest.raises(Misused) as refused:
        read("sources: {a: {routes: ['${TOKEN}']}}", {"TOKEN": "hunter2hunter2"})
    assert "hunter2" not in str(refused.value)


def test_variables_fill_texts_and_are_hidden_again() -> None:
    """Also in the middle of a text, and in what the relay says of it. `$${NAME}` is no variable."""
    text = "applications: {a: {name: '${NAME} $${NAME}', metadata: {url: 'https://x/${TOKEN}', n: '${N}'}}}"
    document, used = read(text, {"NAME": "Sales", "TOKEN": "hunter2hunter2", "N": "1", "UNUSED": "x"})
    assert document.applications == {
        "a": {"name": "Sales ${NAME}", "metadata": {"url": "https://x/hunter2hunter2", "n": "1"}}
    }
    hiding = Hiding(used)
    assert hiding.value(document.applications["a"]["metadata"]) == {"url": "https://x/${TOKEN}", "n": "${N}"}
    assert hiding.text("refused: hunter2hunter2 at 11") == "refused: ${TOKEN} at 11"


def test_a_question_about_many_deletions_names_the_first_ones() -> None:
    """The lines above it have all of them."""
    changes = [Change(action="delete", kind="endpoint", uid=f"e{number}", app="crm") for number in range(300)]
    assert showing.question(changes[:2]) == "Delete endpoint crm/e0, endpoint crm/e1, with what they keep?"
    changes += [
        Change(action="delete", kind="application", uid="crm"),
        Change(action="create", kind="application", uid="new"),
    ]
    asked = "Delete application crm, endpoint crm/e0, endpoint crm/e1, endpoint crm/e2, endpoint crm/e3 and 296 more"
    assert showing.question(changes) == f"{asked}, with what they keep?"
    assert showing.question(changes[-1:]) is None

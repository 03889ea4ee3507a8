"""What is stored stays readable for the release before, and after a rollback: docs/kubernetes.md has the rules.

`tests/golden/stored_keys.txt` has the type that each key was ever given, and `tests/golden/stored_forms.ndjson` records
as they were written. Both only grow: `pytest --write tests/meta/test_stored_forms.py` adds what is new.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.domain.identity import Seen
from relay.domain.references import Reference, parse_reference
from relay.store import attempts, erasing_tasks, event_form, reconciliations, replays, usage
from relay.store.packing import Packing

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "tests/golden/stored_keys.txt"
FORMS = ROOT / "tests/golden/stored_forms.ndjson"
MODULES = sorted((ROOT / "relay/store").glob("*keys.py"))
NEW = {"held"}
"""Fields of references that the records do not have."""
TYPE = re.compile(r"(string|hash|list|set|zset|stream)\b")
PACKINGS: dict[str, Packing[Any]] = {
    module.PACKING._name: module.PACKING
    for module in (attempts, erasing_tasks, event_form, reconciliations, replays, usage)
}


def named(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The text that makes each key, and the docstring that says what it is."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return) and node.body[-1].value:
            yield ast.unparse(node.body[-1].value), ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield ast.unparse(node.value), str(after.value.value)


def keys() -> dict[str, str]:
    """The type of each key, as the modules of keys have it."""
    found = {}
    for module in MODULES:
        for key, says in named(ast.parse(module.read_text())):
            if kind := TYPE.match(says):
                found[re.sub(r"f?['\"]|\(source\)|[ {}+]", "", key)] = kind[1]
    return found


def test_no_key_ever_gets_another_type(request: pytest.FixtureRequest) -> None:
    """Workers of two releases use one store: a command for another type fails, in a script half way. Take a new key."""
    before = dict(line.rsplit(" ", 1) for line in KEYS.read_text().splitlines())
    now = keys()
    assert {key: kind for key, kind in now.items() if before.get(key, kind) != kind} == {}
    if request.config.getoption("--write"):
        KEYS.write_text("".join(f"{key} {kind}\n" for key, kind in sorted((before | now).items())))
    else:
        assert now.keys() <= before.keys(), "add new keys with --write"


def test_the_types_of_keys_are_found() -> None:
    """An empty list would guard nothing."""
    assert len(keys()) > 50
    assert keys()["prefixtally_now:endpoint"] == "string"


def reader(kind: str) -> Callable[[bytes], Any]:
    """What reads records of a kind."""
    if kind == "Reference":
        return parse_reference
    return Seen.unpack if kind == "Seen" else PACKINGS[kind].unpack


def shown(value: Any) -> Any:
    """A record as JSON, without the fields that have their defaults: those may be new."""
    if isinstance(value, msgspec.Struct):
        defaults = dict(zip(reversed(value.__struct_fields__), reversed(value.__struct_defaults__), strict=False))
        names = [
            name for name in value.__struct_fields__ if name not in defaults or getattr(value, name) != defaults[name]
        ]
        return {name: shown(getattr(value, name)) for name in names}
    if isinstance(value, Reference):
        return {name: each for name, each in value._asdict().items() if name not in NEW or each}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: shown(each) for name, each in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [shown(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


@pytest.mark.parametrize("line", FORMS.read_text().splitlines())
def test_what_was_stored_is_read_as_it_was_meant(line: str) -> None:
    """Also by the releases that come: a form that is not read any more is taken out one release later, by hand."""
    record = json.loads(line)
    assert shown(reader(record["kind"])(bytes.fromhex(record["stored"]))) == record["means"]


def test_each_kind_of_record_is_there() -> None:
    """A new kind of packed record needs a line: `kind`, `stored` in hex, and what it `means`."""
    kinds = {json.loads(line)["kind"] for line in FORMS.read_text().splitlines()}
    assert kinds == {*PACKINGS, "Reference", "Seen"}
    found = {
        path.stem for path in (ROOT / "relay/store").glob("*.py") if re.search(r"^PACKING = ", path.read_text(), re.M)
    }
    assert len(found) == len(PACKINGS)


def test_a_reference_is_written_as_it_was() -> None:
    """Scripts of other releases compare references as texts."""
    assert Reference(7, 3, "abcde", 2).text() == "a7:3:abcde:2"

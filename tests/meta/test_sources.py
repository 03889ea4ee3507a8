"""Rules of the house that a linter does not know."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path.relative_to(ROOT).as_posix() for part in ("relay", "workers") for path in ROOT.glob(f"{part}/**/*.py")
)
SCRIPTS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("relay/store/scripts/*.lua"))
LONGEST_FILE = 300
LONGEST_FUNCTION = 40
Function = ast.FunctionDef | ast.AsyncFunctionDef


def length(function: Function) -> int:
    """Lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def public(tree: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """What can be used from outside: functions, classes and their methods, but nothing inside of functions."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        # A setter's docstring is its getter's.
        if not any(isinstance(each, ast.Attribute) and each.attr == "setter" for each in node.decorator_list):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_small(module: str) -> None:
    """A file over 300 lines, or a function over 40, wants to be two."""
    text = (ROOT / module).read_text()
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, Function)]
    assert text.count("\n") <= LONGEST_FILE
    assert [function.name for function in functions if length(function) > LONGEST_FUNCTION] == []


@pytest.mark.parametrize("module", MODULES)
def test_modules_say_what_belongs_in_them(module: str) -> None:
    """Each module begins with a docstring, and everything public in it has one."""
    tree = ast.parse((ROOT / module).read_text())
    assert ast.get_docstring(tree)
    assert [node.name for node in public(tree) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_have_their_header(script: str) -> None:
    """Each script says what it does, takes and returns, and why it must be one step."""
    lines = (ROOT / script).read_text().splitlines()
    header = "\n".join(line for line in lines if line.startswith("--"))
    assert lines[0].startswith("#!lua")
    assert lines[1].startswith("-- ")
    assert [part for part in ("KEYS: ", "ARGV: ", "RETURNS: ", "ATOMIC BECAUSE ") if f"\n-- {part}" not in header] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_scripts_share_is_there(script: str) -> None:
    """Each shared file says what it is, and is put where a script names it, behind all that it needs."""
    text = (ROOT / script).read_text()
    for name in re.findall(r"^-- SHARED: (\w+)$", text, re.MULTILINE):
        shared = (ROOT / f"relay/store/scripts/shared/{name}.lua").read_text()
        assert shared.startswith("-- ")
        before, _, after = text.partition(f"-- SHARED: {name}\n")
        uses = shared.partition("Uses ")[2].partition(").")[0].partition(".\n")[0]
        words = re.findall(r"`(\w+)`", uses)
        assert words or "Uses " not in shared
        assert [word for word in words if word not in before] == []
        assert {
            "books": "write_books()",
            "append": "count_books()",
            "tallies": "write_tallies()",
            "condition": "write_condition(is)",
        }[name] in after


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_negate_no_count(name: str) -> None:
    """Redis 7.0 writes Lua's -0 as `-0`, which is no integer to it: `0 - count` is 0 and `-count` is not."""
    assert re.findall(r"INCRBY'.*, -[a-z]\w*", (ROOT / name).read_text()) == []

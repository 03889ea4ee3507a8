"""Every regular expression that meets text from outside: how long that text can be, and that its time grows with it.

A pattern that is not listed here fails a test. To add one: cut the text before it is matched, bound the quantifiers,
and list it with the bound and with what keeps to it.
"""

import ast
import importlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for part in ("relay", "workers") for path in ROOT.glob(f"{part}/**/*.py"))
LINE = 1 << 20
USES = ("match", "fullmatch", "search", "finditer", "findall", "sub", "subn", "split")


class Bound(NamedTuple):
    """How long a text that a pattern meets can be, and what sees to that."""

    most: int
    kept_by: str


BOUNDS: dict[str, Bound] = {
    "relay.api.json_text:_BRACKET": Bound(LINE, "problems.BODY_AT_MOST"),
    "relay.api.json_text:_STRING": Bound(LINE, "problems.BODY_AT_MOST"),
    "relay.api.parameters:_INTEGER": Bound(65_536, "the longest URL that the server reads"),
    "relay.api.parameters:_TIME": Bound(65_536, "the longest URL that the server reads"),
    "relay.api.attempts:BY_TIME": Bound(4096, "paging.Iterator; the pattern itself stops at 50"),
    "relay.api.event_types:TYPE_NAME": Bound(4096, "paging.Iterator; the pattern itself stops at 130"),
    "relay.api.operational_events:POSITION": Bound(4096, "paging.Iterator; the pattern itself stops at 40"),
    "relay.api.background_tasks:TASK_ID": Bound(65_536, "the longest URL; the pattern itself stops at 33"),
    "relay.api.failing:FORM": Bound(4096, "paging.Iterator; the pattern itself stops at 96"),
    "relay.api.reconciliations:PLACE": Bound(4096, "paging.Iterator; the pattern itself stops at 5"),
    "relay.api.reconciliations:RECONCILIATION_ID": Bound(65_536, "the longest URL; the pattern itself stops at 31"),
    "relay.bounded_clients:HOST": Bound(65_536, "the longest header that the server reads; it stops at 262"),
    "relay.api.request_ids:_FORM": Bound(65_536, "the longest header that the server reads; it stops at 65"),
    "relay.api.sources:BY_TIME": Bound(4096, "paging.Iterator; the pattern itself stops at 145"),
    "relay.api.sources:SOURCE_UID": Bound(4096, "paging.Iterator; the pattern itself stops at 129"),
    "relay.sandbox.reports:_RANGE": Bound(65_536, "the longest headers that the server reads"),
    "relay.store.api_keys:PLACE": Bound(4096, "paging.Iterator; the pattern itself stops at 135"),
    "relay.store.applications:APPLICATION_ID": Bound(4096, "paging.Iterator; the pattern itself stops at 70"),
    "relay.store.endpoints:ENDPOINT_ID": Bound(4096, "paging.Iterator; the pattern itself stops at 70"),
    "relay.cli.declaring.document:VARIABLE": Bound(4 << 20, "document.LARGEST; the pattern itself stops at 132"),
    "relay.cli.declaring.exporting:_NO_BLOCK": Bound(LINE, "api.BODY_AT_MOST of the relay that is asked"),
    "relay.cli.declaring.exporting:_ODD": Bound(4096, "names of objects and headers"),
    "relay.console.forms:WHOLE": Bound(LINE, "forms.FORM_AT_MOST"),
    "relay.config.kubernetes:_NAME": Bound(300, "kubernetes.is_from_a_service cuts it"),
    "relay.config.kubernetes:_VALUE": Bound(4096, "the environment of a process; nothing repeats"),
    "relay.config.redis_url:_SERVICE": Bound(4096, "values.split_url; the pattern itself stops at 201"),
    "relay.config.redis_url:_DATABASE": Bound(4096, "values.split_url; the pattern itself stops at 7"),
    "relay.config.values:_DECIMAL": Bound(4096, "the environment of a process; the pattern itself stops at 27"),
    "relay.config.values:_HOST_NAME": Bound(4096, "the environment of a process; the pattern itself stops at 254"),
    "relay.config.values:_PRINTABLE": Bound(4096, "the environment of a process; the pattern itself stops at 4097"),
    "relay.config.values:_WHOLE": Bound(4096, "the environment of a process; the pattern itself stops at 17"),
    "relay.store.scripts.__init__:_SHARED": Bound(65_536, "the relay's own scripts"),
    "relay.domain.tracing:_VISITOR": Bound(1 << 20, "parsing.MAX_LINE_BYTES; the pattern itself stops at 65"),
    "relay.domain.breaking:_FORM": Bound(256, "the store holds what the relay wrote"),
    "relay.domain.headers:_CAMEL": Bound(128, "headers.check_headers, before they are stored"),
    "relay.domain.erasing:_COUNTRY": Bound(15, "erasing.DIGITS_MOST, looked at first"),
    "relay.domain.erasing:_NAME": Bound(128, "erasing.VISITOR_MOST, looked at first"),
    "relay.domain.requests.ruling:POINTER": Bound(512, "schemas.requests.Pointer"),
    "relay.domain.requests.ruling:STATUS": Bound(3, "schemas.requests.Status"),
    "relay.domain.requests.templates:PLACEHOLDER": Bound(2048, "schemas.requests.UrlTemplate, targets.MAX_URL_CHARS"),
    "relay.domain.requests.templates:_DOTS": Bound(512, "templates.LONGEST_VALUE, looked at first"),
    "relay.domain.requests.templates:_REST": Bound(2048, "schemas.requests.UrlTemplate, targets.MAX_URL_CHARS"),
    "relay.domain.spellings:_DIGITS": Bound(LINE, "lines are as long at most, and so are payloads"),
    "relay.domain.spellings:_WORD": Bound(LINE, "lines are as long at most, and so are payloads"),
    "relay.domain.spellings:_FOREIGN": Bound(24, "spellings._CODE_MOST, as much as is looked at"),
    "relay.domain.echoes:_replaced": Bound(16_384, "egress.READ_CAP_BYTES; literal texts only"),
    "relay.domain.headers:_LETTERS": Bound(128, "headers.check_headers, before they are stored"),
    "relay.domain.headers:_NAME": Bound(
        4096, "Endpoint headers are a body of the API; the pattern itself stops at 128"
    ),
    "relay.domain.headers:_VALUE": Bound(4096, "MAX_VALUE_CHARS, looked at first"),
    "relay.domain.masking:_NINE": Bound(2000, "masking.cut"),
    "relay.domain.masking:_NUMBERS": Bound(2000, "masking.cut"),
    "relay.domain.masking:_USERINFO": Bound(2000, "masking.cut"),
    "relay.expressions.compiling:_PARTS": Bound(16_384, "compiling.LONGEST, looked at first"),
    "relay.expressions.evaluating:_MAYBE_UNSAFE": Bound(8 << 20, "evaluating.LARGEST_DATA, looked at first"),
    "relay.expressions.functions:_UNIT": Bound(64, "functions.LONGEST_PICTURE, looked at first"),
    "relay.domain.escaping_notes:_NOTES": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.escaping_notes:_END": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.escaping_notes:_DATED_END": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.names:_NAME": Bound(256, "names.checked_name looks at the length first"),
    "relay.domain.names:_OWN_UID": Bound(256, "names.own_uid looks at the length first"),
    "relay.domain.normalising:_NUMBER": Bound(LINE, "parsing.MAX_LINE_BYTES; the pattern itself stops at 62"),
    "relay.domain.normalising:_USUAL": Bound(40, "read_time reads no longer text"),
    "relay.domain.parsing:_ROW_ID": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.reading.answers:_ROW_ID_ALONE": Bound(100, "answers.LONGEST_ALONE, looked at first"),
    "relay.domain.reading.answers:_TIME": Bound(LINE, "parsing.MAX_LINE_BYTES; a fixed length after the name"),
    "relay.domain.tokens:_TOKEN": Bound(65_536, "the longest header that the server reads; it stops at 67"),
    "relay.domain.references:_FORM": Bound(64, "the store holds what the relay wrote"),
    "relay.domain.references:number_of": Bound(64, "the store holds what the relay wrote"),
    "relay.domain.repairing:_CESU": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.repairing:_PART": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.repairing:_INSIDE": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.repairing:_NO_NUMBER": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.domain.repairing:_DIGITS": Bound(LINE, "parsing.MAX_LINE_BYTES"),
    "relay.observability.__init__:_PRIVATE_TEXT": Bound(2000, "masking.cut"),
    "relay.observability.__init__:_SECRET_NAME": Bound(2000, "masking.cut"),
    "relay.observability.__init__:_SECRET_TEXT": Bound(2000, "masking.cut"),
    "relay.outbound.recordings:RANGE": Bound(64 << 10, "a header of uvicorn's"),
    "relay.outbound.recordings:_AUDIO": Bound(64 << 10, "a header of h11's"),
    "relay.outbound.recordings:_VALUE": Bound(64 << 10, "a header of h11's"),
    "relay.outbound.reports_api:_LIMIT": Bound(161, "reports_api._safe"),
    "relay.outbound.reports_api:_RATE": Bound(161, "reports_api._safe"),
    "relay.outbound.reports_api:_PRIVATE": Bound(2100, "masking.cut in reports_api._safe"),
    "relay.outbound.targets:_AUTHORITY": Bound(2048, "targets.MAX_URL_CHARS"),
    "relay.outbound.targets:_LABEL": Bound(253, "targets._check_name"),
    "relay.outbound.targets:_UNSAFE": Bound(2048, "targets.MAX_URL_CHARS"),
    "relay.store.compaction:_NUMBER": Bound(64, "the store holds what the relay wrote"),
    "relay.store.deleted_sources:_SPECIAL": Bound(256, "a source's uid in a key, see domain.names"),
    "relay.store.needs:_FORBIDDEN": Bound(1000, "needs._forbidden cuts what the server says"),
    "relay.store.retention:_ENDED": Bound(32, "the store holds what the relay wrote"),
    "relay.store.retention:_ID": Bound(2 * LINE, "an event in the store; no quantifier is open"),
    "relay.recipes.__init__:PARAMETER": Bound(65_536, "the relay's own recipes"),
    # The stand-in for the upstream: who runs it is who asks it.
    "relay.sandbox.filters:_NUMBER": Bound(65_536, "the longest URL that the server reads"),
    "relay.sandbox.formats:_NOT_IN_XML": Bound(65_536, "rows that the sandbox makes"),
    "relay.sandbox.lines:_PAIR": Bound(65_536, "rows that the sandbox makes"),
    "relay.sandbox.queries:_ARRAY": Bound(65_536, "the longest URL that the server reads"),
    "relay.sandbox.queries:_WHOLE": Bound(65_536, "the longest URL that the server reads"),
    "relay.sandbox.queries:_ALIASED": Bound(65_536, "the longest URL that the server reads"),
}
UNBOUND = {
    "relay.recipes.__init__:_faults": "the patterns of the relay's own recipes; the length comes first",
    "relay.domain.spellings:_runs": "possessive, and what may stand between two digits is no digit",
    "relay.domain.spellings:_words_of": "one bounded repetition, that begins at the beginning of a word",
    "relay.api.parameters:value_fault": "the patterns of parameters, which are those of names; the length comes first",
    "relay.api.value_faults:text_faults": "the patterns of bodies, each listed by itself; the length comes first",
    "relay.sandbox.filters:_matches": "the operand `re` of the upstream: who asks the sandbox writes the pattern",
    "relay.sandbox.filters:fnmatchcase": "the operand `glob` of the upstream: who asks the sandbox writes the pattern",
}
"""Patterns that are made while the relay works. Only the stand-in for the upstream takes whole ones from outside."""


class Found(NamedTuple):
    """A regular expression in the source."""

    name: str
    pattern: str | bytes | None
    """None: it is made elsewhere."""
    max_length: int | None = None
    """Of a text in a body of the API: msgspec looks at it first. None: the pattern stands elsewhere."""


def _used_of_re(called: ast.expr) -> str:
    is_re = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re"
    return called.attr if is_re and isinstance(called, ast.Attribute) else ""


def patterns_in(path: Path) -> Iterator[Found]:
    """The patterns of one module: compiled, used in passing, or in a shape of a body."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    tree = ast.parse(path.read_text())
    scopes = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}

    def owner(node: ast.AST) -> str:
        """The function in which a pattern is used, or the name that it is assigned to."""
        name = "?"
        while node in scopes:
            inner, node = node, scopes[node]
            if isinstance(node, ast.Tuple) and isinstance(scopes[node], ast.Assign):
                # `A, B = re.compile(...), re.compile(...)`
                targets = getattr(scopes[node].targets[0], "elts", [])  # type: ignore[attr-defined]
                name = targets[node.elts.index(inner)].id if targets else name  # type: ignore[arg-type]
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = node.name
        return name

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("re", "fnmatch"):
            for each in node.names:
                if each.name not in ("Match", "Pattern"):
                    yield Found(f"{module}:{each.name}", None)
        if not isinstance(node, ast.Call):
            continue
        used = _used_of_re(node.func)
        if used in USES or used == "compile":
            argument = node.args[0]
            text = argument.value if isinstance(argument, ast.Constant) else None
            yield Found(f"{module}:{owner(node)}", text if isinstance(text, str | bytes) else None)
        for keyword in node.keywords:
            if keyword.arg == "pattern":
                given = {
                    each.arg: _value(each.value, module)
                    for each in node.keywords
                    if each.arg in ("pattern", "max_length")
                }
                yield Found(given["pattern"], given["pattern"], given.get("max_length", 0))


def _value(node: ast.expr, module: str) -> Any:
    """What a literal, or a name of the module, stands for."""
    return getattr(importlib.import_module(module), node.id) if isinstance(node, ast.Name) else ast.literal_eval(node)


FOUND = {found.name: found for path in MODULES for found in patterns_in(path)}


MOST = {name: found.max_length for name, found in FOUND.items() if found.max_length} | {
    name: bound.most for name, bound in BOUNDS.items()
}
"""How long the text can be, by the pattern."""


def compiled(name: str) -> "re.Pattern[Any]":
    """A listed pattern, as the code has it."""
    module, _, attribute = name.partition(":")
    if module in {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in MODULES}:
        there = getattr(importlib.import_module(module), attribute, None)
        return there if isinstance(there, re.Pattern) else re.compile(FOUND[name].pattern or "")
    return re.compile(name)


def test_every_pattern_is_listed_with_the_bound_of_its_input() -> None:
    """A new regular expression says how long the text can be that it meets; one that is gone leaves the list."""
    assert sorted(name for name, found in FOUND.items() if found.max_length is None) == sorted(BOUNDS | UNBOUND)
    assert [name for name, found in FOUND.items() if found.max_length == 0] == []


def uses_of(name: str) -> set[str]:
    """What is asked of a pattern: `match`, `search`, ..."""
    module, _, attribute = name.partition(":")
    path = ROOT / (module.replace(".", "/") + ".py")
    if not path.exists():
        return {"search"}
    source = "".join(each.read_text() for each in MODULES if each == path or module in each.read_text())
    asked = set(re.findall(rf"\b{attribute}\.({'|'.join(USES)})\b", source))
    # Used in passing, or handed on.
    return asked or set(re.findall(rf"\bre\.({'|'.join(USES)})\(", source)) or {"finditer"}


def letters(pattern: "re.Pattern[Any]") -> list[str]:
    """One letter for each set and literal of a pattern, and one that is none of them."""
    found: set[str] = {"\0", "a", "1", " "}

    def walk(node: Any) -> None:
        if isinstance(node, tuple) and len(node) == 2 and node[0] in (sre.LITERAL, sre.NOT_LITERAL):
            found.add(chr(node[1]))
        elif isinstance(node, tuple) and len(node) == 2 and node[0] is sre.RANGE:
            found.update(map(chr, node[1]))
        elif isinstance(node, list | tuple | parser.SubPattern):
            for each in node:
                walk(each)

    walk(parser.parse(pattern.pattern, pattern.flags))
    return sorted(each for each in found if not 0xD800 <= ord(each) <= 0xDFFF)


def literals(pattern: "re.Pattern[Any]") -> list[str]:
    """The words of a pattern: what its repetitions may begin behind."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    return sorted(set(re.findall(r"[A-Za-z_]{2,20}|[\"':/@]{1,3}", text)))


def pumps(pattern: "re.Pattern[Any]") -> list[str]:
    """What is repeated: each letter, pairs of unlike ones, each word alone and before each letter."""
    single, words = letters(pattern), literals(pattern)[:8]
    few = single[:: max(1, len(single) // 6)]
    pairs = [a + b for a in few for b in few if a != b]
    return [*single[:: max(1, len(single) // 20)], *pairs, *words, *(word + each for word in words for each in few[:4])]


def takes(pattern: "re.Pattern[Any]", uses: set[str], text: str) -> float:
    """Seconds of this thread for what is asked of a pattern; the best of two, if it matters."""
    subject: Any = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
    best = float("inf")
    for _ in range(3):
        begin = time.thread_time()
        for use in uses & {"match", "fullmatch", "search"}:
            getattr(pattern, use)(subject)
        if uses - {"match", "fullmatch", "search"}:
            for _ in pattern.finditer(subject):
                pass
        best = min(best, time.thread_time() - begin)
        if best < TOLD_FROM_S:
            break
    return best


LONGEST_TRIED = 8192
TOLD_FROM_S = 0.01
"""What takes less is not compared: it is noise."""
MOST_S = 2.0
"""For the longest text that a pattern meets."""


@pytest.mark.parametrize("name", sorted(MOST))
def test_the_time_of_a_pattern_grows_no_faster_than_its_input(name: str) -> None:
    """Four times the text take four times as long, up to the bound: no text from outside can hold up the process."""
    pattern, uses, most = compiled(name), uses_of(name), min(MOST[name], LONGEST_TRIED)
    for pump in pumps(pattern):
        for prefix, suffix in (("", ""), ("", "\0"), (pump[:1], "!")):
            before, size = 0.0, 512
            while size <= max(most, 512):
                text = prefix + (pump * (size // len(pump) + 1))[:size] + suffix
                now = takes(pattern, uses, text)
                assert now < TOLD_FROM_S or before == 0 or now < 10 * max(before, TOLD_FROM_S / 4), (pump, size)
                assert now * MOST[name] / size < MOST_S or now < TOLD_FROM_S, (pump, size)
                before, size = now, size * 4


@pytest.mark.parametrize("name", sorted(name for name in BOUNDS if name.startswith("relay")))
def test_no_pattern_ends_where_a_line_feed_may_follow(name: str) -> None:
    r"""`$` lets a line feed through at the end: `\Z` does not, and neither does fullmatch."""
    text = compiled(name).pattern
    assert not (text if isinstance(text, str) else text.decode("latin-1")).endswith("$")

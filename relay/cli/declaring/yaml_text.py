"""The text of a file as values: YAML or JSON, within limits that are checked before anything is built."""

from typing import Any

import yaml  # type: ignore[import-untyped]

from relay.cli.faults import Misused

LARGEST = 4 << 20
"""Characters of a file."""
DEEPEST = 50
"""Levels of mappings and lists. A filter, the deepest value that the relay accepts, has fewer."""
MOST_VALUES = 200_000
"""Values of a file, with those that aliases stand for each time."""
MOST_DIGITS = 100
"""Digits of a whole number: converting them takes quadratic time. Numbers of the relay have at most 19."""


def load(text: str) -> Any:
    """The values of a file. Raises Misused."""
    if len(text) > LARGEST:
        raise Misused(f"the file has more than {LARGEST >> 20} MiB")
    try:
        _check_size(text)
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise Misused(f"the file is not YAML: {_reason(error)[:300]}") from None


def _check_size(text: str) -> None:
    """Raise Misused for too many values, or too many levels. Aliases count as what they stand for."""
    size = _Size()
    for event in yaml.parse(text, _Loader):
        size.add(event)


class _Size:
    """Counts values and levels from the events of a parser, which builds nothing."""

    def __init__(self) -> None:
        self._open: list[_Part] = [_Part(None)]
        self._of: dict[str, _Part] = {}
        """The parts that an alias can stand for."""

    def add(self, event: Any) -> None:
        """Count one event. Raises Misused."""
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open.append(_Part(event.anchor))
                self._check_levels(len(self._open) - 1, event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close(self._open.pop(), event)
            case yaml.ScalarEvent():
                self._close(_Part(event.anchor), event)
            case yaml.AliasEvent():
                self._close(self._meant(event), event)

    def _meant(self, event: Any) -> "_Part":
        if any(part.anchor == event.anchor for part in self._open):
            raise Misused(f"the alias *{event.anchor} stands inside of the value that it stands for")
        # The loader refuses an alias of nothing.
        meant = self._of.get(event.anchor) or _Part(None)
        self._check_levels(len(self._open) - 1 + meant.levels, event)
        return meant

    def _close(self, part: "_Part", event: Any) -> None:
        if part.anchor:
            self._of[part.anchor] = part
        around = self._open[-1]
        around.values += part.values
        around.levels = max(around.levels, part.levels + 1)
        if around.values > MOST_VALUES:
            raise Misused(
                f"the file has more than {MOST_VALUES} values, with those that aliases stand for, {_at(event)}"
            )

    def _check_levels(self, levels: int, event: Any) -> None:
        if levels > DEEPEST:
            raise Misused(f"the file is nested more than {DEEPEST} deep, {_at(event)}")


MERGE = "tag:yaml.org,2002:merge"
"""`<<`: the names of another mapping, which those of its own replace."""
TEXTS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
"""Forms that stay the texts that they are: dates, and `=`."""


class _Part:
    """A value with everything in it."""

    def __init__(self, anchor: str | None) -> None:
        self.anchor = anchor
        self.values = 1
        self.levels = 0


def _reason(error: Exception) -> str:
    """What is wrong and where, without the name that the parser gives a text."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    parts = (error.context, error.problem)
    return f"{' '.join(part for part in parts if part)}, at line {error.problem_mark.line + 1}"


def _at(event: Any) -> str:
    return f"at line {event.start_mark.line + 1}"


class _Loader(yaml.CSafeLoader):  # type: ignore[misc]
    """Refuses a key that stands twice, and keeps dates as the texts that they are."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.tag == MERGE:
                continue
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                raise _wrong(f"{str(key.value)!r} must be a text: quote it", key)
            if name in seen:
                raise _wrong(f"{name!r} stands twice", key)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_whole_number(self, node: Any) -> Any:
        """An integer that is short enough to be converted."""
        if len(node.value) > MOST_DIGITS:
            raise _wrong(f"a whole number must have at most {MOST_DIGITS} digits", node)
        return self.construct_yaml_int(node)


def _wrong(message: str, node: Any) -> Exception:
    found: Exception = yaml.constructor.ConstructorError(None, None, message, node.start_mark)
    return found


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole_number)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in TEXTS]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}

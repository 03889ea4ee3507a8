"""What a case is: a name, the goal that it tries, and what it measured against which limit."""

import operator
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

Compare = Literal["<=", ">=", "=="]
_COMPARE = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was measured."""

    what: str
    value: float
    compare: Compare
    limit: float
    unit: str = ""
    note: str = ""

    @property
    def is_time(self) -> bool:
        """Whether it tells how fast this machine was, too."""
        return self.unit in ("s", "ms")

    @property
    def holds(self) -> bool:
        """Whether the goal is met."""
        return bool(_COMPARE[self.compare](self.value, self.limit))


class Skipped(Exception):  # noqa: N818 - named for what happened
    """This machine does not allow a case; the text says what is missing."""


Run = Callable[[int], AsyncIterator[Finding]]
"""From the seed to the findings."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `goal` is its number among the project's goals, `seconds` about how long it takes.

    One that `is_long` runs only when it is named.
    """

    name: str
    goal: str
    seconds: int
    run: Run
    says: str
    is_long: bool = False


CASES: dict[str, Case] = {}
MODULES = (
    "isolation", "kills", "replay_kills", "recovery", "poison", "retries", "egress", "answers", "forbidden",
    "late_rows", "outages", "topologies", "emptied", "full", "made_anew", "many_sources", "orders", "lost_answers",
    "clocks", "machine", "alerts", "rolling_restarts", "api_restarts", "two_versions",
)  # fmt: skip
"""Of tests.fault.cases, in the order in which they are run."""


def load_cases() -> dict[str, Case]:
    """Every case by its name."""
    for name in MODULES:
        import_module(f"tests.fault.cases.{name}")
    return CASES


def case(name: str, *, goal: str, seconds: int, is_long: bool = False) -> Callable[[Run], Run]:
    """Register a case; the first line of its docstring says what it does."""

    def register(run: Run) -> Run:
        CASES[name] = Case(name, goal, seconds, run, (run.__doc__ or "").strip().splitlines()[0], is_long)
        return run

    return register

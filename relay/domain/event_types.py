"""Classes and event types: the words that subscribers use, and the numbers that stored data uses for them."""

from functools import lru_cache

CLASSES = ("transaction", "goal", "call", "call_user", "visit", "touch_point", "trigger", "call_charge")
"""In order of precedence (design: an endpoint gets a row once, as the first of these that it subscribed to).

A class mask has bit `1 << index` for each class. Append only: masks and type codes are stored.
"""

EVENT_TYPES = tuple(f"{name}.{change}" for name in CLASSES for change in ("created", "updated"))
"""Every event type; its place here is its code, one byte wherever it is stored."""

TRANSACTION, GOAL, CALL, CALL_USER, VISIT, TOUCH_POINT, TRIGGER, CALL_CHARGE = (
    1 << index for index in range(len(CLASSES))
)

POSTED = 255
"""The code of an event that was posted: its type is stored with it, see `Post`."""

_CODES = {name: code for code, name in enumerate(EVENT_TYPES)}


def is_charge(types: bytes) -> bool:
    """Whether an event with these types is of a call charge, whose rowIds count for themselves."""
    return any(code // 2 == len(CLASSES) - 1 for code in types)


@lru_cache(maxsize=4096)
def names(mask: int) -> tuple[str, ...]:
    """The classes of a mask, in order of precedence.

    >>> names(GOAL | CALL)
    ('goal', 'call')
    """
    return tuple(name for index, name in enumerate(CLASSES) if mask >> index & 1)


def mask_of(classes: tuple[str, ...]) -> int:
    """The mask of some classes; raises ValueError for a word that is no class."""
    return sum(1 << CLASSES.index(name) for name in set(classes))


def code_of(event_type: str) -> int:
    """The code of an event type; raises KeyError for a word that is none."""
    return _CODES[event_type]


@lru_cache(maxsize=4096)
def codes_of(current: int, had: int | None) -> bytes:
    """What a row's new state is called: the codes of its types, in order of precedence.

    `current` is the mask of its classes now, `had` the mask of all that it had before, or None for a new row. A class
    that it gained is `.created`, one that it had is `.updated`, one that it lost is not told of.

    >>> [EVENT_TYPES[code] for code in codes_of(GOAL | CALL, had=CALL)]
    ['goal.created', 'call.updated']
    """
    before = had or 0
    return bytes(2 * index + (before >> index & 1) for index in range(len(CLASSES)) if current >> index & 1)

"""Lists in which something is looked for: the API has no search, so its pages are read here."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from relay.console.api import Api

LISTED = 50
LARGEST, READ = 250, 4
"""Objects of the largest page of the API, and how many of these pages are read for one page of what is found."""

Condition = Callable[[Mapping[str, Any]], bool]


async def found(
    api: Api, *operation: str, conditions: Collection[Condition], iterator: str | None = None
) -> dict[str, Any]:
    """A page of an operation's list, or of those objects in it that fulfil every condition. Raises Refused.

    The answer looks like one of the API. It has more than `LISTED` objects if they stand together in the list.
    """
    if not conditions:
        return dict(await api.get(*operation, limit=LISTED, iterator=iterator))
    data, done = list[Mapping[str, Any]](), False
    for _ in range(READ):
        page = await api.get(*operation, limit=LARGEST, iterator=iterator)
        data += [each for each in page["data"] if all(condition(each) for condition in conditions)]
        iterator, done = page["iterator"], page["done"]
        if done or len(data) >= LISTED:
            break
    return {"data": data, "iterator": iterator, "prevIterator": None, "done": done}


def holding(text: str, fields: Collection[str]) -> list[Condition]:
    """The condition that one of some fields has a text, in capitals or not. An empty text is no condition.

    >>> [has] = holding("ACME", ("uid", "name"))
    >>> has({"uid": None, "name": "Acme Motors"}), has({"uid": "crm", "name": ""}), holding("", ())
    (True, False, [])
    """
    sought = text.casefold()
    return [lambda each: any(sought in str(each.get(field) or "").casefold() for field in fields)] if text else []

"""Loads the Lua scripts of this folder. A script is a file of its own where several commands must be one step.

Each call declares one more key, the last one, which is never there. Scripts build names of keys, and in a cluster a
server ends a script at the first of those that has moved to another node: half way. A server that moves a slot refuses
a script before it begins if one of its declared keys is not there, so none begins until the whole slot has moved.

A line `-- SHARED: name` of a script stands for the file `shared/name.lua`, which several scripts have in common.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from relay.store import keys as names
from relay.store.refusals import sorted_out

_SHARED = re.compile(r"^-- SHARED: (\w{1,30})\n", re.MULTILINE)


class Script:
    """One script: called by its hash, sent whole when the server does not know it (yet, or any more)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _SHARED.sub(lambda found: _read(f"shared/{found[1]}.lua"), _read(f"{name}.lua"))
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: Redis, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run it. Raises what redis-py raises."""
        keys = guarded(keys)
        try:
            return await redis.evalsha(self.sha, len(keys), *keys, *args)  # type: ignore[misc]
        except NoScriptError:
            return await redis.eval(self.text, len(keys), *keys, *args)  # type: ignore[misc]


def _read(name: str) -> str:
    return (resources.files(__package__) / name).read_text("utf-8")


def guarded(keys: Sequence[str]) -> list[str]:
    """The keys of a call, and the one that is never there."""
    return [*keys, names.nothing(keys[0])] if keys else []


Call = tuple[Script, Sequence[str], Sequence[Any]]
"""A script, its keys and its arguments."""


async def run_all(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Run scripts one after the other in one round trip; gives their answers. Raises StoreUnavailable."""
    answers = await run_apart(redis, calls)
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise sorted_out(answer)
    return answers


async def run_apart(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """The same, but where a script fails, its own answer is the error. Raises StoreUnavailable."""
    answers = await _run(redis, calls)
    unknown = {each[0].name: each[0] for each, a in zip(calls, answers, strict=True) if isinstance(a, NoScriptError)}
    if unknown:
        for each in unknown.values():
            await redis.script_load(each.text)
        # Those that ran must not run twice.
        again = [call for call, answer in zip(calls, answers, strict=True) if isinstance(answer, NoScriptError)]
        repeated = iter(await _run(redis, again))
        answers = [next(repeated) if isinstance(answer, NoScriptError) else answer for answer in answers]
    return answers


async def _run(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    async with redis.pipeline(transaction=False) as pipe:
        for each, keys, args in calls:
            pipe.evalsha(each.sha, len(keys) + 1, *guarded(keys), *args)
        return await pipe.execute(raise_on_error=False)


@cache
def script(name: str) -> Script:
    """The script of `name`.lua."""
    return Script(name)

"""Loads the Lua scripts beside this file. A script is a file of its own where several commands must be one step."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError


class Script:
    """One script: called by its hash, sent whole when the server does not know it (yet, or any more)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (resources.files(__package__) / f"{name}.lua").read_text("utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: Redis, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run it. Raises what redis-py raises."""
        try:
            return await redis.evalsha(self.sha, len(keys), *keys, *args)  # type: ignore[misc]
        except NoScriptError:
            return await redis.eval(self.text, len(keys), *keys, *args)  # type: ignore[misc]


@cache
def script(name: str) -> Script:
    """The script of `name`.lua."""
    return Script(name)

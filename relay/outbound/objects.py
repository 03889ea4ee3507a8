"""A place for objects outside of Redis: a folder, or a bucket of S3, Google Cloud Storage or Azure.

Credentials are not in the URL. They come from `AWS_…`, `GOOGLE_…` and `AZURE_…` variables, or from the identity of the
machine or pod. Each call is bounded in time and in size.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from relay.errors import CheckpointUnavailable

CONNECT_WITHIN = timedelta(seconds=2)
LONGEST = timedelta(minutes=10)
"""For a request of the client. Calls end before that, by the size of their object."""
WITHIN_S = 5.0
"""For a small object."""
BYTES_A_SECOND = 2**20
"""A large object has a second more for each MiB."""
RETRIES = 1
"""Of a request: the caller repeats the call a moment later."""
MOST_NAMES = 1_000
LONGEST_REASON = 300


class Objects:
    """Objects by their names. Writing replaces an object as a whole: a reader sees the old one or the new one."""

    def __init__(self, url: str) -> None:
        """`url`: `file:///folder`, `s3://bucket/prefix`, `gs://…` or `az://container/prefix`. Raises ValueError."""
        self.url = url
        options: dict[str, Any] = {"mkdir": True}
        if not url.startswith("file:"):
            # These replace what `AWS_…` variables say of the client. Plain http is used where the operator's endpoint
            # says so, such as a MinIO in the cluster: the content is sealed, and requests are signed.
            client = {"connect_timeout": CONNECT_WITHIN, "timeout": LONGEST, "allow_http": True}
            retries = {"max_retries": RETRIES, "retry_timeout": CONNECT_WITHIN}
            options = {"client_options": client, "retry_config": retries}
        try:
            self._store: Any = from_url(url, **options)
        except (BaseError, OSError, ValueError) as error:
            raise ValueError(f"{url} can't be used: {_reason(error)}") from None

    async def read(self, name: str, *, most_bytes: int) -> bytes | None:
        """An object's content; None: there is none. Raises CheckpointUnavailable, also when it is too large."""
        async with self._bounded("read", name, most_bytes):
            try:
                found = await obstore.get_async(self._store, name)
            except FileNotFoundError:
                return None
            if found.meta["size"] > most_bytes:
                raise CheckpointUnavailable(f"{self.url}/{name} has {found.meta['size']} bytes, more than {most_bytes}")
            return bytes(await found.bytes_async())

    async def has(self, name: str) -> bool:
        """Whether there is an object. Raises CheckpointUnavailable."""
        async with self._bounded("find", name, 0):
            try:
                return bool(await obstore.head_async(self._store, name))
            except FileNotFoundError:
                return False

    async def write(self, name: str, content: bytes) -> None:
        """Write an object as a whole. Raises CheckpointUnavailable."""
        async with self._bounded("write", name, len(content)):
            await obstore.put_async(self._store, name, content, use_multipart=False)

    async def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error. Raises CheckpointUnavailable."""
        async with self._bounded("delete", name, 0):
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                return

    async def names(self) -> list[str]:
        """The names of the objects, a thousand at most. Raises CheckpointUnavailable."""
        found: list[str] = []
        async with self._bounded("list", "", 0):
            async for chunk in obstore.list(self._store, chunk_size=MOST_NAMES):
                found += [str(meta["path"]) for meta in chunk]
                if len(found) >= MOST_NAMES:
                    break
        return found[:MOST_NAMES]

    @asynccontextmanager
    async def _bounded(self, what: str, name: str, size: int) -> AsyncIterator[None]:
        within_s = WITHIN_S + size / BYTES_A_SECOND
        try:
            async with asyncio.timeout(within_s):
                yield
        except TimeoutError:
            raise CheckpointUnavailable(f"can't {what} {self.url}/{name}: no answer within {within_s:.0f} s") from None
        except (BaseError, OSError, ValueError) as error:
            raise CheckpointUnavailable(f"can't {what} {self.url}/{name}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The first line: behind it the library lists its own structures."""
    return str(error).partition("\n")[0][:LONGEST_REASON]

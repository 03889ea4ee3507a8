"""The place of the checkpoints: a folder, and a bucket behind a real server with the API of S3."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from relay.cli.demo.ports import free_port
from relay.errors import CheckpointUnavailable
from relay.outbound import objects
from relay.outbound.objects import Objects
from tests.fault.serving import Exchange, serving
from tests.patience import PATIENCE_S

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "c4n4ry-S3cret", "AWS_REGION": "eu-west-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """An empty place."""
    if request.param == "file":
        return Objects(f"file://{tmp_path}/some where/deep")
    url = request.getfixturevalue("server")
    use(monkeypatch, url)
    bucket = f"bucket{os.urandom(4).hex()}"
    httpx.put(f"{url}/{bucket}", content="", timeout=PATIENCE_S).raise_for_status()
    return Objects(f"s3://{bucket}/some/prefix")


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Have the clients of S3 talk to a server, by the variables that they read."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)


async def test_objects_are_written_read_listed_and_deleted(place: Objects) -> None:
    """As a whole: the second content is not longer by the rest of the first."""
    assert await place.read("one", most_bytes=100) is None
    assert await place.names() == []
    await place.write("one", b"a longer first content")
    await place.write("one", b"short")
    await place.write("two", bytes(range(256)) * 4096)
    assert await place.read("one", most_bytes=5) == b"short"
    assert await place.read("two", most_bytes=2**20) == bytes(range(256)) * 4096
    assert sorted(await place.names()) == ["one", "two"]
    await place.delete("one")
    await place.delete("one")
    assert await place.names() == ["two"]


async def test_an_object_that_is_too_large_is_not_read(place: Objects) -> None:
    """Somebody else may have put it there."""
    await place.write("one", bytes(1001))
    with pytest.raises(CheckpointUnavailable, match="has 1001 bytes, more than 1000"):
        await place.read("one", most_bytes=1000)


async def test_a_bucket_that_is_not_there_is_told(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what was tried, and without a key."""
    use(monkeypatch, server)
    with pytest.raises(CheckpointUnavailable) as told:
        await Objects("s3://no-such-bucket").write("checkpoint-0", b"x")
    assert str(told.value).startswith("can't write s3://no-such-bucket/checkpoint-0: ")
    assert "\n" not in str(told.value)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(told.value)


async def test_a_folder_that_cannot_be_made_is_told() -> None:
    """At the start."""
    with pytest.raises(ValueError, match="file:///proc/nowhere can't be used"):
        Objects("file:///proc/nowhere")


@asynccontextmanager
async def hanging() -> AsyncIterator[str]:
    """A server that takes requests and never answers."""

    def ignore(_: Exchange) -> None: ...

    async with serving(ignore) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("what", ["hangs", "refuses"])
async def test_a_place_that_does_not_answer_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Every call ends in time, and the loop turns meanwhile."""
    monkeypatch.setattr(objects, "WITHIN_S", 0.5)
    async with hanging() as url:
        use(monkeypatch, url if what == "hangs" else f"http://127.0.0.1:{free_port()}")
        place, turns = Objects("s3://bucket"), 0
        calls = [
            asyncio.ensure_future(call)
            for call in (place.write("a", b"x"), place.read("a", most_bytes=1), place.names(), place.delete("a"))
        ]
        async with asyncio.timeout(PATIENCE_S):
            while not all(call.done() for call in calls):
                await asyncio.sleep(0.01)
                turns += 1
        assert turns > 3
        for call in calls:
            assert isinstance(call.exception(), CheckpointUnavailable)

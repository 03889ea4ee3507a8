"""What the upstream says in an error: safe to log, and read in bounded time, however long and odd it is."""

import time

import httpx
import msgspec
import pytest

from relay.domain.model import ApiKeyAuth, Source, SourceUid
from relay.errors import UpstreamError
from relay.outbound.reports_api import ReportsApi

SOURCE = Source(
    uid=SourceUid("uk"),
    name="UK",
    base_url="https://api.test",
    version="v2.1",
    igrp=1,
    auth=ApiKeyAuth("the-key-of-the-source"),
    routes=("all",),
)


async def told(text: str, *, status: int = 500) -> str:
    """What is said of an answer that is one message."""
    content = msgspec.json.encode(text) + b"\n"
    transport = httpx.MockTransport(lambda _: httpx.Response(status, stream=httpx.ByteStream(content)))
    with pytest.raises(UpstreamError) as refused:
        await ReportsApi(transport).fetch(SOURCE, "all", after=0, limit=10)
    return str(refused.value)


@pytest.mark.parametrize("status", [200, 400, 401, 500])
@pytest.mark.parametrize("pump", ["a", "1", "a.", "+1", "1 ", "max ", "a@", "limit", "@", "-", "()", "max rate "])
async def test_a_long_message_of_the_upstream_takes_no_time(pump: str, status: int) -> None:
    """64,000 letters in an answer froze a worker for 20 s: a message is cut before any pattern meets it."""
    begin = time.thread_time()
    said = await told((pump * 65_000)[:65_000], status=status)
    assert time.thread_time() - begin < 5
    assert len(said) < 400


@pytest.mark.parametrize("filler", [0, 100, 1900, 1990, 2000, 2010, 65_500])
@pytest.mark.parametrize(
    "private", ["jo.doe+x@crm.example", "+44 7946 000958", "the-key-of-the-source", "x" * 300 + "@crm.example"]
)
async def test_a_cut_message_tells_no_part_of_what_is_private(private: str, filler: int) -> None:
    """Wherever the cut falls, and however much of the message shrinks before it is shown."""
    for begin in ("a " * (filler // 2), "b@c " * (filler // 4)):
        said = await told(f"{begin}{private} and more of it")
        assert not any(part in said for part in ("jo.doe", "7946", "the-key", "xxxxx"))

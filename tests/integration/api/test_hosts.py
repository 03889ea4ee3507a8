"""Addresses are made of the header Host, so one that is no host is refused before anything reads it."""

import asyncio

import pytest


async def answer(base_url: str, path: str, host: bytes) -> bytes:
    """The first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base_url.rpartition(":")[2]))
    writer.write(b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path.encode(), host))
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.parametrize("path", ["/health/live", "/console"])
@pytest.mark.parametrize("host", [b"http://relay:port/x", b"a/b?c#d", b"relay:port", b"[::1", b"u@relay", b"a,b"])
async def test_a_host_that_is_none_is_refused(base_url: str, path: str, host: bytes) -> None:
    """With 400, on every path."""
    assert await answer(base_url, path, host) == b"HTTP/1.1 400 Bad Request\r\n"


@pytest.mark.parametrize("host", [b"relay", b"relay.example.com:8080", b"[::1]:80", b"10.0.0.1", b"relay_api", b""])
async def test_other_hosts_are_served(base_url: str, host: bytes) -> None:
    """Names, addresses of both kinds, and names of a cluster."""
    assert await answer(base_url, "/health/live", host) == b"HTTP/1.1 200 OK\r\n"

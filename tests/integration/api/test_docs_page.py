"""The reference at /docs: its viewer is shipped with the relay, and reaches nothing else."""

import gzip
import hashlib
import re
from pathlib import Path

import httpx

DEPENDENCIES = (Path(__file__).parents[3] / "docs" / "dependencies.md").read_text()


async def test_the_page_loads_the_viewer_and_the_document(http: httpx.AsyncClient) -> None:
    """Both from the relay itself, and its policy allows nothing else."""
    page = await http.get("http://relay/docs")
    assert re.findall(r'(?:src|href|data-url)="([^"]*)"', page.text) == [
        "data:,", "/docs/plain", "/docs/openapi.json", "/docs/scalar-1.46.4.js",
    ]  # fmt: skip
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "://" not in policy
    for path in ("/docs/plain", "/docs/openapi.json", "/docs/scalar-1.46.4.js"):
        assert (await http.get(f"http://relay{path}")).status_code == 200


async def test_the_viewer_is_what_its_makers_ship(http: httpx.AsyncClient) -> None:
    """Byte for byte, compressed; and browsers keep it."""
    script = await http.get("http://relay/docs/scalar-1.46.4.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-encoding"] == "gzip"
    digest = hashlib.sha256(script.content).hexdigest()
    assert f"`{digest[:8]}…{digest[-4:]}`" in DEPENDENCIES
    assert len(gzip.compress(script.content, 9)) < 1_100_000


async def test_the_plain_page_needs_no_script(http: httpx.AsyncClient) -> None:
    """It lists every operation, and its policy allows only its own style."""
    page = await http.get("http://relay/docs/plain")
    assert "<script" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "Create or change a source" in page.text


async def test_every_enumeration_has_a_type(http: httpx.AsyncClient) -> None:
    """Viewers and generators of clients need it."""
    document = (await http.get("http://relay/docs/openapi.json")).json()

    def untyped(value: object) -> list[object]:
        if isinstance(value, dict):
            found = [value] if "enum" in value and "type" not in value else []
            return found + [each for inner in value.values() for each in untyped(inner)]
        return [each for inner in value for each in untyped(inner)] if isinstance(value, list) else []

    assert untyped(document) == []

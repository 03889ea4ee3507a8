"""The console's files: their names have a digest of their content, so browsers keep them for good."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

ROOT = "/console/static/"
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FILES = {
    "console.css": "console.css",
    "icon.svg": "icon.svg",
    "htmx.js": "htmx-2.0.11.min.js.gz",
    "refresh.js": "refresh.js",
    "tail.js": "tail.js",
}
"""What pages call a file → the file in the folder `static`. A compressed one is served as it is."""


@dataclass(frozen=True, slots=True)
class _File:
    address: str
    media_type: str
    plain: bytes
    compressed: bytes


def asset(name: str) -> str:
    """The address of a file. Raises KeyError if there is none of that name."""
    return ROOT + _files()[name].address


@get("/static/{name:str}", include_in_schema=False)
async def static_file(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """One of the files."""
    found = next((file for file in _files().values() if file.address == name), None)
    if found is None:
        raise NotFoundException
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(found.plain, media_type=found.media_type, headers=headers)
    return Response(found.compressed, media_type=found.media_type, headers={**headers, "content-encoding": "gzip"})


@cache
def _files() -> dict[str, _File]:
    return {name: _read(name, file) for name, file in FILES.items()}


def _read(name: str, file: str) -> _File:
    content = files("relay.console").joinpath("static", file).read_bytes()
    plain = gzip.decompress(content) if file.endswith(".gz") else content
    stem, _, kind = name.rpartition(".")
    address = f"{stem}.{hashlib.sha256(plain).hexdigest()[:12]}.{kind}"
    return _File(address, TYPES[kind], plain, gzip.compress(plain, 9, mtime=0))

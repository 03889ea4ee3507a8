"""The routes of the reports API: nine lists, the recording of a call, and the trace of a visitor."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from relay.sandbox.authentication import admit
from relay.sandbox.columns import Row
from relay.sandbox.filters import compile_test
from relay.sandbox.lines import entry
from relay.sandbox.membership import REAL_TIME, ROUTES
from relay.sandbox.recordings import MEDIA_TYPE, recording
from relay.sandbox.refusals import BadParameter, Refusal
from relay.sandbox.upstream import Answer, Upstream

_RANGE = re.compile(r"bytes=([0-9]{1,9})-([0-9]{0,9})")
_PIECES = 10
"""A slow body comes in so many pieces."""


@get("/igrps/{igrp:str}/triggers/{route:str}")
async def list_route(
    request: Request[Any, Any, Any],
    upstream: NamedDependency[Upstream],
    version: FromPath[str],
    igrp: FromPath[str],
    route: FromPath[str],
) -> Response[Any]:
    """Answer one of the nine lists."""
    _let_in(request, upstream, version=version, igrp=igrp)
    if route not in ROUTES:
        raise Refusal("not found", status=404)
    upstream.catch_up()
    return _response(upstream.list_route(route, upstream.query(_query_string(request))))


@get("/igrps/{igrp:str}/visitors/{visitor:str}/triggers")
async def trace_visitor(
    request: Request[Any, Any, Any],
    upstream: NamedDependency[Upstream],
    version: FromPath[str],
    igrp: FromPath[str],
    visitor: FromPath[str],
) -> Response[Any]:
    """Answer what a visitor did, without the rows that were written while a call went on."""
    _let_in(request, upstream, version=version, igrp=igrp)
    upstream.catch_up()
    query = upstream.query(_query_string(request))
    return _response(upstream.trace(query, compile_test("vid", "eq", visitor), _has_settled))


@get("/igrps/{igrp:str}/callRecording/{row_id:str}")
async def call_recording(
    request: Request[Any, Any, Any],
    upstream: NamedDependency[Upstream],
    version: FromPath[str],
    igrp: FromPath[str],
    row_id: FromPath[str],
) -> Response[bytes]:
    """Answer the recording of a call. 404 where there is none, which is a guess."""
    _let_in(request, upstream, version=version, igrp=igrp)
    upstream.catch_up()
    if not row_id.isdecimal():
        raise BadParameter("rowId must be a whole number")
    line = upstream.rows.indexes["calls"].find(int(row_id))
    if line is None or upstream.rows.read(line).get("rec") != "1":
        raise Refusal("not found", status=404)
    return _ranged(recording(entry(line).number), request.headers.get("range", ""))


def _ranged(sound: bytes, wanted: str) -> Response[bytes]:
    """A recording, or one part of it. That the upstream knows ranges is a guess."""
    headers = {"accept-ranges": "bytes", "etag": f'"{zlib.crc32(sound):08x}"'}
    found = _RANGE.fullmatch(wanted)
    if found is None:
        return Response(sound, media_type=MEDIA_TYPE, headers=headers)
    first, last = int(found[1]), min(int(found[2] or len(sound)), len(sound) - 1)
    if first > last:
        headers["content-range"] = f"bytes */{len(sound)}"
        return Response(b"", status_code=416, media_type=MEDIA_TYPE, headers=headers)
    headers["content-range"] = f"bytes {first}-{last}/{len(sound)}"
    return Response(sound[first : last + 1], status_code=206, media_type=MEDIA_TYPE, headers=headers)


def _let_in(request: Request[Any, Any, Any], upstream: Upstream, *, version: str, igrp: str) -> None:
    upstream.may_refuse()
    admit(request.headers.get("authorization"), version=version, igrp=igrp, config=upstream.config)


def _query_string(request: Request[Any, Any, Any]) -> str:
    # As it came: the framework's own reading of it would not tell a repeated parameter from an array.
    query_string: bytes = request.scope["query_string"]
    return query_string.decode("latin-1")


def _has_settled(row: Row) -> bool:
    return row.get("act") not in REAL_TIME


def _response(answer: Answer) -> Response[Any]:
    if answer.slow_s:
        return Stream(_trickle(answer), media_type=answer.media_type)
    return Response(answer.body, media_type=answer.media_type)


async def _trickle(answer: Answer) -> AsyncIterator[bytes]:
    size = -(-len(answer.body) // _PIECES)
    for at in range(0, len(answer.body), size):
        await asyncio.sleep(answer.slow_s / _PIECES)
        yield answer.body[at : at + size]


reports = Router("/reports/{version:str}", route_handlers=[list_route, trace_visitor, call_recording])

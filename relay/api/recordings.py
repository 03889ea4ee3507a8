"""Recordings of calls: with an API key, or by a signed link that expires."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from litestar import Controller, Request, Response, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import Meta

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, StoresGiven
from relay.api.parameters import check_parameters
from relay.api.problems import problem
from relay.api.schemas.common import In, Out, moment
from relay.api.visibility import find_event
from relay.domain import envelope
from relay.domain.envelope import is_expunged
from relay.domain.links import LONGEST_S, PURPOSE, is_signed, link_text, sign_link
from relay.domain.model import Application
from relay.domain.principals import Resource
from relay.errors import NotFound, Unauthorized
from relay.outbound.recordings import Recordings
from relay.wiring import Stores

log = structlog.get_logger()

AUDIO: dict[int, Any] = {
    200: ResponseSpec(bytes, media_type="audio/*", description="The recording", generate_examples=False),
    206: ResponseSpec(
        bytes, media_type="audio/*", description="The part that `range` asks for", generate_examples=False
    ),
}


class RecordingLinkIn(In, frozen=True, kw_only=True):
    """A link to create."""

    expires_in_seconds: Annotated[int, Meta(ge=1, le=LONGEST_S)] = 3600
    """How long the link works: 1 s to 24 h."""


class RecordingLinkOut(Out, frozen=True, kw_only=True):
    """A link to a recording."""

    url: str
    """The path and query of the link, on the host of this API. Anyone who has it can download the recording."""
    expires_at: datetime
    """When the link stops working."""


class RecordingController(Controller):
    """`/api/v1/app/{app_id}/msg/{msg_id}/recording`."""

    path = "/app/{app_id:str}/msg/{msg_id:str}/recording"
    tags = ["recording"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.RECORDING)

    @get("/", summary="Download a recording", responses=AUDIO)
    async def download(
        self, application: ApplicationGiven, msg_id: FromPath[str], stores: StoresGiven, request: Request[Any, Any, Any]
    ) -> Response[bytes]:
        """Download the recording of the call that a message is about. The relay streams it, and keeps nothing of it.

        `range` and `if-range` are passed on. 404: the message is not about a call, or Infinity has no recording of it.
        502: Infinity refuses or fails. 504: it does not answer in time.
        """
        return await _download(application, msg_id, stores, request)

    @post("/link", summary="Create a link to a recording", status_code=200)
    async def create_link(
        self,
        application: ApplicationGiven,
        msg_id: FromPath[str],
        data: JSONBody[RecordingLinkIn],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> RecordingLinkOut:
        """Create a link that downloads the recording without an API key, until it expires.

        It cannot be revoked, except by deleting the application or by removing the encryption key of the relay.
        """
        await _row(application, msg_id, stores)
        expires_s = clock.now_ms() // 1000 + data.expires_in_seconds
        text = link_text(application.id, msg_id, expires_s)
        signature = sign_link(stores.vault.derived(PURPOSE)[0], text)
        path = f"/recording/{application.id}/{msg_id}?expires={expires_s}&signature={signature}"
        return RecordingLinkOut(url=path, expires_at=moment(expires_s * 1000))


@get(
    "/recording/{app_id:str}/{msg_id:str}",
    tags=["recording"],
    summary="Download a recording by a link",
    security=[],
    guards=[check_parameters],
    responses=AUDIO,
)
async def linked_recording(
    app_id: FromPath[str],
    msg_id: FromPath[str],
    stores: StoresGiven,
    clock: ClockGiven,
    request: Request[Any, Any, Any],
    expires: Annotated[
        int, QueryParameter(ge=0, le=10**12, description="When the link stops working, in Unix seconds")
    ],
    signature: Annotated[str, QueryParameter(max_length=64, description="The signature of the link")],
) -> Response[bytes]:
    """Download a recording by a link that `POST /api/v1/app/{app_id}/msg/{msg_id}/recording/link` created."""
    text = link_text(app_id, msg_id, expires)
    if not is_signed(stores.vault.derived(PURPOSE), text, signature) or expires * 1000 <= clock.now_ms():
        raise Unauthorized("this link has expired, or was not created by this relay: create another one")
    return await _download(await stores.applications.get(app_id), msg_id, stores, request)


async def _download(
    application: Application, message: str, stores: Stores, request: Request[Any, Any, Any]
) -> Response[bytes]:
    source_uid, row_id = await _row(application, message, stores)
    source = await stores.sources.get(source_uid)
    recordings: Recordings = request.app.state.recordings
    found = await recordings.open(source, row_id, asked=request.headers)
    log.info("recording_download", app=application.id, message=message, status=found.status)
    kind = found.media_type.partition("/")[2]
    name = f"recording-{row_id}.{kind.removeprefix('x-').replace('mpeg', 'mp3')}"
    if found.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        await found.body.aclose()
        return problem(  # type: ignore[return-value]
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range_not_satisfiable",
            "the recording has no such part: `content-range` tells its length, if Infinity does",
            headers={n: v for n, v in found.headers.items() if n == "content-range"},
        )
    return Stream(  # type: ignore[return-value]
        found.body,
        status_code=found.status,
        media_type=found.media_type,
        headers={
            **found.headers,
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "private, no-store",
        },
    )


async def _row(application: Application, message: str, stores: Stores) -> tuple[Any, int]:
    """The source and rowId of the call that a message is about. Raises NotFound, also if it is about something else."""
    item = await find_event(application, message, stores)
    if is_expunged(item.value):
        raise NotFound(f"the content of message {message} was expunged, and its recording is not shown either")
    if item.value.post is not None or "call" not in envelope.decode(item.value.body)["classes"]:
        raise NotFound(f"message {message} is not about a call, so it has no recording")
    return item.source, int(item.value.row_id)

"""An endpoint's signing keys and headers."""

import structlog
from litestar import Controller, get, patch, post, put
from litestar.params import FromPath, JSONBody

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, StoresGiven
from relay.api.headers import patched_headers, replaced_headers, show_headers
from relay.api.schemas.endpoint_parts import HeadersIn, HeadersOut, HeadersPatchIn, SecretOut, SecretRotateIn
from relay.api.signing_keys import rotated, show_secret
from relay.domain.principals import Resource
from relay.store import journal
from relay.store.journal import Change

log = structlog.get_logger()


class EndpointSecretController(Controller):
    """`/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret` and `/headers`, in Svix's shapes."""

    path = "/app/{app_id:str}/endpoint/{endpoint_id:str}"
    tags = ["endpoint"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.ENDPOINT)

    @get("/secret", summary="Get an endpoint's signing secret", opt=needs(Resource.ENDPOINT_SECRET, audited=True))
    async def get_secret(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> SecretOut:
        """Get the key that verifies callbacks."""
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        journal.current().note(Change(f"endpoint/{endpoint.id}"))
        log.info("signing_key_shown", endpoint=endpoint.id)
        return show_secret(endpoint)

    @post(
        "/secret/rotate",
        summary="Rotate an endpoint's signing secret",
        status_code=200,
        opt=needs(Resource.ENDPOINT_SECRET),
    )
    async def rotate_secret(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        stores: StoresGiven,
        clock: ClockGiven,
        data: JSONBody[SecretRotateIn | None] = None,
    ) -> SecretOut:
        """Sign with new keys, and also with the replaced keys until the grace period ends (24 h by default).

        To undo a rotation, send the earlier key within its grace period. Keys that were replaced before keep their own
        grace periods. An endpoint has at most 5 keys of each kind (409).
        """
        now_ms = clock.now_ms()
        body = data or SecretRotateIn()
        return show_secret(
            await stores.endpoints.change(application.id, endpoint_id, lambda old: rotated(old, body, now_ms=now_ms))
        )

    @get("/headers", summary="Get an endpoint's headers")
    async def get_headers(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> HeadersOut:
        """Get the headers of an endpoint's callbacks. Secret values are hidden, and `sensitive` has their names."""
        return show_headers(await stores.endpoints.get(application.id, endpoint_id))

    @put("/headers", summary="Replace an endpoint's headers", status_code=204)
    async def set_headers(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[HeadersIn],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> None:
        """Replace all headers. Those in `sensitive` keep their values, so that you can send back what GET returned."""
        now_ms = clock.now_ms()
        await stores.endpoints.change(
            application.id, endpoint_id, lambda old: replaced_headers(old, data, now_ms=now_ms)
        )

    @patch("/headers", summary="Change an endpoint's headers", status_code=204)
    async def patch_headers(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[HeadersPatchIn],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> None:
        """Set some headers and remove others. All other headers stay."""
        now_ms = clock.now_ms()
        await stores.endpoints.change(
            application.id, endpoint_id, lambda old: patched_headers(old, data, now_ms=now_ms)
        )

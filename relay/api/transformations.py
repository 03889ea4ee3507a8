"""An endpoint's transformation: in Svix's shape, and its dry run."""

from typing import Any

from litestar import Controller, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, structs

from relay.api.access import needs
from relay.api.dependencies import ApplicationGiven, ClockGiven, EvaluatorGiven, StoresGiven
from relay.api.dry_runs import event_of, tried
from relay.api.schemas.transformations import (
    DryRunIn,
    DryRunOut,
    TransformationOut,
    TransformationPatch,
    show_transformation,
)
from relay.domain.model import Endpoint
from relay.domain.principals import Resource
from relay.domain.requests.model import PLAIN


class TransformationController(Controller):
    """`/api/v1/app/{app_id}/endpoint/{endpoint_id}/transformation`."""

    path = "/app/{app_id:str}/endpoint/{endpoint_id:str}/transformation"
    tags = ["endpoint"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.ENDPOINT)

    @get("/", summary="Get an endpoint's transformation")
    async def get_transformation(
        self, application: ApplicationGiven, endpoint_id: FromPath[str], stores: StoresGiven
    ) -> TransformationOut:
        """Get the expression that makes the body of an endpoint's callbacks, in Svix's shape."""
        return show_transformation(await stores.endpoints.get(application.id, endpoint_id))

    @patch("/", summary="Change an endpoint's transformation", status_code=204)
    async def patch_transformation(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        data: JSONBody[TransformationPatch],
        stores: StoresGiven,
        clock: ClockGiven,
    ) -> None:
        """Change the expression that makes the body of an endpoint's callbacks, in Svix's shape.

        `code` is a JSONata expression: Svix's JavaScript is refused. The next attempt of each waiting delivery uses it.
        """
        now_ms = clock.now_ms()
        await stores.endpoints.change(application.id, endpoint_id, lambda old: _patched(old, data, now_ms=now_ms))

    @post("/test", summary="Try a transformation", status_code=200, opt=needs(Resource.ENDPOINT, audited=False))
    async def test_transformation(
        self,
        application: ApplicationGiven,
        endpoint_id: FromPath[str],
        stores: StoresGiven,
        clock: ClockGiven,
        evaluator: EvaluatorGiven,
        data: JSONBody[DryRunIn | None] = None,
    ) -> DryRunOut:
        """Show the request that the relay would send for a row, a message or an example, without sending anything.

        The relay makes no lookup: `lookup` and `captured` are taken from the request. If an expression fails, the
        answer is 200 too, and `error` says which one, why, and at which character.
        """
        body = data or DryRunIn()
        endpoint = await stores.endpoints.get(application.id, endpoint_id)
        if body.transformation is not UNSET:
            shape = structs.replace(endpoint.request, transformation=body.transformation, transformation_enabled=True)
            endpoint = structs.replace(endpoint, request=shape)
        if body.filter is not UNSET:
            endpoint = structs.replace(endpoint, filter=body.filter)
        event = await event_of(body, application, endpoint, stores, now_ms=clock.now_ms())
        return await tried(endpoint, application, event, body, evaluator, now_ms=clock.now_ms())


def _patched(endpoint: Endpoint, body: TransformationPatch, *, now_ms: int) -> Endpoint:
    fields: dict[str, Any] = {}
    if body.code is not UNSET:
        fields["transformation"] = body.code
    if isinstance(body.enabled, bool):
        fields["transformation_enabled"] = body.enabled
    if body.variables is not UNSET:
        fields["variables"] = body.variables or {}
    shape = structs.replace(endpoint.request, **fields)
    return structs.replace(endpoint, request=PLAIN if shape == PLAIN else shape, updated_at_ms=now_ms)

"""`/console`: every page is named here."""

from litestar import Request, Router, get
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from relay.console.failures import handlers
from relay.console.files import static_file
from relay.console.pages import overview, signing_in
from relay.console.visits import provide_visit

FORM_AT_MOST = 1 << 20
"""Bytes of a form: as of a body of the API."""


@get("/{rest:path}")
async def no_page(rest: FromPath[str]) -> None:
    """Every other address below `/console`."""
    raise NotFoundException


def console() -> Router:
    """The pages and their files."""
    return Router(
        "/console",
        route_handlers=[
            static_file,
            signing_in.sign_in_page, signing_in.begin_session, signing_in.end_session,
            overview.overview,
            no_page,
        ],
        dependencies={"visit": Provide(provide_visit)},
        exception_handlers=handlers(),
        include_in_schema=False,
        request_class=Request,
        request_max_body_size=FORM_AT_MOST,
    )  # fmt: skip

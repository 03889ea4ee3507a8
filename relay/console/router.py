"""`/console`: every page is named here."""

from litestar import Router, get
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from relay.console.failures import handlers
from relay.console.files import static_file
from relay.console.forms import FORM_AT_MOST
from relay.console.pages import (
    application_settings,
    applications,
    backfills,
    deliveries,
    endpoint_recovery,
    endpoint_replays,
    endpoint_rules,
    endpoint_secrets,
    endpoint_settings,
    endpoints,
    failing,
    keys,
    messages,
    overview,
    portal,
    reconciliations,
    records,
    routes,
    signing_in,
    source_settings,
    sources,
    tail,
    undelivered,
)
from relay.console.visits import provide_visit


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
            portal.portal_home, portal.link_page, portal.open_portal,
            overview.overview, failing.failing_endpoints, tail.tail_page, tail.tail_stream,
            undelivered.undelivered_page, undelivered.resend_selected,
            records.operational_events, records.audit_log, records.list_tasks,
            records.cancel_task, keys.keys_page, keys.create_key, keys.delete_key,
            sources.list_sources, sources.source_page, sources.steer_source, sources.steer_route,
            sources.quarantine_page, source_settings.new_source_page, source_settings.create_source,
            source_settings.source_settings_page, source_settings.change_source, source_settings.delete_source,
            routes.route_page, routes.move_cursor,
            backfills.backfills_page, backfills.create_backfill, backfills.cancel_backfill,
            reconciliations.reconciliations_page, reconciliations.reconcile, reconciliations.reconciliation_page,
            reconciliations.repair,
            applications.list_applications, applications.application_page,
            application_settings.new_application_page, application_settings.create_application,
            application_settings.application_settings_page, application_settings.change_application,
            application_settings.delete_application,
            messages.list_messages, messages.message_page, messages.resend_message, deliveries.delivery_page,
            endpoints.endpoint_page, endpoints.steer_endpoint, endpoints.send_test,
            endpoint_rules.rules_page, endpoint_rules.change_rules,
            endpoint_secrets.secrets_page, endpoint_secrets.show_secret, endpoint_secrets.change_headers,
            endpoint_settings.new_endpoint_page, endpoint_settings.create_endpoint, endpoint_settings.settings_page,
            endpoint_settings.change_settings, endpoint_settings.delete_endpoint,
            endpoint_replays.replay_page, endpoint_replays.begin_replay,
            endpoint_recovery.recovery_page, endpoint_recovery.begin_recovery,
            no_page,
        ],
        dependencies={"visit": Provide(provide_visit)},
        exception_handlers=handlers(),
        include_in_schema=False,
        request_max_body_size=FORM_AT_MOST,
    )  # fmt: skip

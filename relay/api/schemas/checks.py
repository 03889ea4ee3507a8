"""Rules for a field of a body that a type cannot express: `Meta(extra={"check": ...})`, see relay.api.body_faults."""

from collections.abc import Collection
from typing import Any, NamedTuple

from relay.api.certificates import signing_key
from relay.api.parameters import TIME_IN_WORDS, is_time
from relay.domain.addresses import EgressPolicy
from relay.domain.filtering import vet_filter
from relay.domain.headers import check_new_headers, repeated_names
from relay.domain.paths import ENVELOPE_FIELDS, kind_of
from relay.domain.requests.ruling import STATUS
from relay.domain.signing import PRIVATE_PREFIX, SECRET_PREFIX
from relay.domain.signing import check_key as check_signing_key
from relay.errors import ExpressionRefused, Fault, Invalid
from relay.expressions.compiling import check as check_expression
from relay.outbound.targets import vet_url

Path = tuple[str | int, ...]


class Policies(NamedTuple):
    """The addresses that URLs in bodies can have, and what the operator has set up."""

    callbacks: EgressPolicy
    upstreams: EgressPolicy
    has_public_url: bool = False
    """Events can carry links to this API."""


def check_url(value: str, path: Path, policies: Policies) -> None:
    """Raise Invalid unless the relay may send requests to a URL. That of a poller is empty."""
    if value:
        vet_url(value, policies.callbacks, path=path)


def check_new_header(name: str, value: str, path: Path) -> None:
    """Raise Invalid for a header of an API key that an endpoint cannot have."""
    try:
        check_new_headers({name: value.strip()}, path=path)
    except Invalid as error:
        raise Invalid(*(Fault((*path, "name"), fault.message, fault.kind) for fault in error.faults)) from None


def check_service_account(value: dict[str, Any], path: Path, policies: Policies) -> None:
    """Raise Invalid unless an object is the content of a key file of a Google service account."""
    if value.get("type") != "service_account":
        raise Invalid(Fault(path, "must be the content of the JSON key file of a service account"))
    for name in ("client_email", "private_key"):
        if not isinstance(value.get(name), str) or not value[name]:
            raise Invalid(Fault((*path, name), "is required: send the content of the JSON key file", "missing"))
    for name in ("private_key_id", "token_uri"):
        if not isinstance(value.get(name, ""), str):
            raise Invalid(Fault((*path, name), "must be a string", "type_error"))
    signing_key(value["private_key"], "RS256", path=(*path, "private_key"))
    check_url(value.get("token_uri", ""), (*path, "token_uri"), policies)


def check_filter(value: dict[str, Any], path: Path, _: Policies) -> None:
    """Raise Invalid for a filter that nobody can save (relay.domain.vetting). An empty filter means no filter."""
    try:
        if value:
            vet_filter(value)
    except Invalid as error:
        raise Invalid(*(Fault((*path, *fault.path), fault.message, fault.kind) for fault in error.faults)) from None


def check_include(value: list[str], path: Path, policies: Policies) -> None:
    """Raise Invalid for links if the operator has not said where they lead."""
    if value and not policies.has_public_url:
        raise Invalid(Fault(path, "is not available: the operator must set RELAY_PUBLIC_URL first"))


EVENT_VARIABLES = ("event", "key", "variables")
BODY_VARIABLES = (*EVENT_VARIABLES, "lookup", "captured")
BATCH_VARIABLES = ("events", "variables")


def check_body_expression(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a text is an expression over the event and what was found for it."""
    _check_expression(value, path, BODY_VARIABLES)


def check_event_expression(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a text is an expression over the event alone."""
    _check_expression(value, path, EVENT_VARIABLES)


def check_answer_expression(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a text is an expression over an answer."""
    _check_expression(value, path, EVENT_VARIABLES)


def check_batch_expression(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a text is an expression over a batch, or over the answer to one."""
    _check_expression(value, path, BATCH_VARIABLES)


def _check_expression(value: str, path: Path, variables: Collection[str]) -> None:
    try:
        check_expression(value, bindings=variables)
    except ExpressionRefused as error:
        where = "" if error.position is None else f" (at character {error.position})"
        raise Invalid(Fault(path, f"is not a JSONata expression that the relay can evaluate: {error}{where}")) from None


def check_url_template(value: str, path: Path, policies: Policies) -> None:
    """Raise Invalid unless the relay may send requests to a URL that can have placeholders."""
    vet_url(value, policies.callbacks, path=path)


def check_status(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a text is a status or a class of statuses."""
    if not STATUS.fullmatch(value):
        raise Invalid(Fault(path, "must be a status from 200 to 599, such as `409`, or a class of them, such as `4xx`"))


def check_time(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a text is a time."""
    if not is_time(value):
        raise Invalid(Fault(path, TIME_IN_WORDS))


def check_headers(value: dict[str, str | None], path: Path, _: Policies) -> None:
    """Raise Invalid for headers that an endpoint cannot have. A header that is null is removed, whatever its name."""
    faults = list(repeated_names(value, path=path))
    try:
        check_new_headers({name: text for name, text in value.items() if text is not None}, path=path)
    except Invalid as error:
        faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise Invalid(*faults)


def check_key(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a text is a signing key, with its prefix or without."""
    check_signing_key(prefixed(value), path=path)


def prefixed(key: str) -> str:
    """A signing key with its prefix. Svix's clients can send the base64 of a shared secret alone."""
    return key if key.startswith((SECRET_PREFIX, PRIVATE_PREFIX)) else SECRET_PREFIX + key


def check_private_column(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid for a field that no privacy rule can name: those around the row, and paths to them."""
    if value.split(".")[0] in ENVELOPE_FIELDS:
        raise Invalid(Fault(path, "must be the name of a column of the row, such as `srcPhoneNumber`"))


def check_order_key(value: str, path: Path, _: Policies) -> None:
    """Raise Invalid unless a path names a field of the row that contains a text or an id."""
    first, *rest = value.split(".")
    in_row = first not in ENVELOPE_FIELDS or value == "rowId" or (first == "trigger" and rest)
    if not in_row or kind_of(value) in ("number", "notes"):
        raise Invalid(Fault(path, "must name a field of the row that contains a text or an id, such as `vid`"))

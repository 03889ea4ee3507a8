"""What is made of an endpoint once, for all of its callbacks: a vetted target, fixed headers, keys, its secrets."""

from dataclasses import dataclass
from functools import cached_property

from relay.domain.addresses import EgressPolicy
from relay.domain.credentials import Granted, KeyAuth, secrets_of
from relay.domain.echoes import Echoes
from relay.domain.headers import RESERVED, check_headers, is_sensitive
from relay.domain.model import Endpoint
from relay.domain.outcomes import Failure, Outcome
from relay.domain.requests.templates import OWN, fill, names_in
from relay.domain.secret_urls import secret_parts
from relay.domain.signing import Signer
from relay.errors import Invalid
from relay.outbound.authentication import fixed_header, with_key
from relay.outbound.http.request import Preamble
from relay.outbound.targets import Target, vet_url

Header = tuple[str, str]


@dataclass(frozen=True, eq=False, repr=False)
class PreparedEndpoint:
    """An endpoint, made ready for callbacks or found to be unfit for them."""

    endpoint: Endpoint


@dataclass(frozen=True, eq=False, repr=False)
class Ready(PreparedEndpoint):
    """Everything that is the same for each callback."""

    target: Target
    preamble: Preamble
    signer: Signer
    granted: Granted | None
    """The credentials that need a token."""

    @cached_property
    def echoes(self) -> Echoes:
        """What of its own secrets must not be kept; made when a receiver first sends something back."""
        return Echoes(_secrets(self.endpoint))


@dataclass(frozen=True, eq=False, repr=False)
class Unfit(PreparedEndpoint):
    """It was fine when it was saved; the operator's policy, or the rules for keys and headers, changed since."""

    outcome: Outcome


def prepare(endpoint: Endpoint, policy: EgressPolicy, common: tuple[Header, ...]) -> Ready | Unfit:
    """Vet, decode and encode what is the same for each callback. `common` are the relay's own fixed headers."""
    failure = Failure.REFUSED_ADDRESS
    try:
        target = vet_url(with_key(sample_of(endpoint), endpoint.auth), policy)
        failure = Failure.UNFIT
        headers = _own_headers(endpoint)
        check_headers(dict(headers))
        signer = Signer(endpoint.keys)
        preamble = Preamble(endpoint.request.method, target.path, target.authority, (*common, *headers))
    except Invalid as error:
        return Unfit(endpoint, Outcome(error=failure, detail=error.faults[0].message))
    return Ready(
        endpoint=endpoint,
        target=target,
        preamble=preamble,
        signer=signer,
        granted=endpoint.auth if isinstance(endpoint.auth, Granted) else None,
    )


def sample_of(endpoint: Endpoint) -> str:
    """The URL of an endpoint with something harmless in the places of its placeholders."""
    known = (*endpoint.request.url_parameters, *OWN)
    url = endpoint.dialled_url
    return fill(url, {name: "x" for name in names_in(url) if name in known})


def _own_headers(endpoint: Endpoint) -> list[Header]:
    """The subscriber's headers: they never replace the relay's, and `auth` outranks headers of theirs."""
    fixed, taken = fixed_header(endpoint.auth), set(RESERVED)
    if endpoint.auth is not None and not isinstance(endpoint.auth, KeyAuth):
        taken.add("authorization")
    if fixed is not None:
        taken.add(fixed[0])
    headers = [(name.lower(), value) for name, value in endpoint.headers.items() if name.lower() not in taken]
    return headers if fixed is None else [*headers, fixed]


def _secrets(endpoint: Endpoint) -> list[str]:
    """What the endpoint's owner gave in confidence, and the relay sends: a receiver may show it to others."""
    secrets = [value for name, value in endpoint.headers.items() if is_sensitive(name)]
    secrets += [word for value in secrets for word in value.split()[1:]]
    secrets += [key.key for key in endpoint.keys]
    if endpoint.secret_url is not None:
        secrets += secret_parts(endpoint.secret_url.text)
    return secrets + secrets_of(endpoint.auth)

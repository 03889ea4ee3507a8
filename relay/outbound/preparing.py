"""What is made of an endpoint once, for all of its callbacks: a vetted target, fixed headers, keys, its secrets."""

from dataclasses import dataclass
from functools import cached_property

from relay.domain.addresses import EgressPolicy
from relay.domain.echoes import Echoes
from relay.domain.headers import RESERVED, check_headers, is_sensitive
from relay.domain.model import BasicAuth, Bearer, Endpoint, OAuth2
from relay.domain.outcomes import Failure, Outcome
from relay.domain.requests.templates import OWN, fill, names_in
from relay.domain.signing import Signer
from relay.errors import Invalid
from relay.outbound.authentication import fixed_authorization
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
    oauth: OAuth2 | None

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
        target = vet_url(sample_of(endpoint), policy)
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
        oauth=endpoint.auth if isinstance(endpoint.auth, OAuth2) else None,
    )


def sample_of(endpoint: Endpoint) -> str:
    """The URL of an endpoint with something harmless in the places of its placeholders."""
    known = (*endpoint.request.url_parameters, *OWN)
    return fill(endpoint.url, {name: "x" for name in names_in(endpoint.url) if name in known})


def _own_headers(endpoint: Endpoint) -> list[Header]:
    """The subscriber's headers: they never replace the relay's, and `auth` outranks an `authorization` of theirs."""
    authorization = fixed_authorization(endpoint.auth)
    taken = RESERVED | {"authorization"} if endpoint.auth is not None else RESERVED
    headers = [(name.lower(), value) for name, value in endpoint.headers.items() if name.lower() not in taken]
    if authorization is not None:
        headers.append(("authorization", authorization))
    return headers


def _secrets(endpoint: Endpoint) -> list[str]:
    """What the endpoint's owner gave in confidence, and the relay sends: a receiver may show it to others."""
    secrets = [value for name, value in endpoint.headers.items() if is_sensitive(name)]
    secrets += [word for value in secrets for word in value.split()[1:]]
    secrets += [key.key for key in endpoint.keys]
    match endpoint.auth:
        case BasicAuth(username, password):
            secrets += [password, f"{username}:{password}"]
        case Bearer(token):
            secrets.append(token)
        case OAuth2(client_secret=secret):
            secrets.append(secret)
    return secrets

"""The server that an authorization server names for its tokens, such as the instance of a customer in a CRM.

Its answer is text from outside: the host must be one that the endpoint's owner allows, and the guard vets it like any
other.
"""

from relay.domain.addresses import EgressPolicy
from relay.domain.credentials import Granted
from relay.errors import Invalid
from relay.outbound.targets import Target, vet_url
from relay.outbound.tokens.model import TokenRefused


def moved_to(target: Target, base_url: str, auth: Granted, policy: EgressPolicy) -> Target:
    """The same path and query on the scheme, host and port of a base URL. Raises TokenRefused.

    Nothing else of the base URL is used.
    """
    try:
        base = vet_url(base_url, policy)
        if not is_within(base.host, auth.base_url_suffix or ""):
            raise TokenRefused(
                "the authorization server names a base URL whose host is not within `baseUrlSuffix`: nothing was sent"
            )
        return vet_url(base.origin + target.path, policy)
    except Invalid as error:
        raise TokenRefused(f"the base URL that the authorization server names {error.faults[0].message}") from None


def is_within(host: str, suffix: str) -> bool:
    """Whether a host is a suffix, or ends with it behind a dot.

    >>> [is_within("a.crm.example", suffix) for suffix in ("crm.example", "a.crm.example", "rm.example", "")]
    [True, True, False, False]
    """
    suffix = suffix.lower()
    return bool(suffix) and (host == suffix or host.endswith("." + suffix))

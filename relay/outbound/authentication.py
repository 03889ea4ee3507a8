"""Credentials of callbacks that never change: where they stand in a request."""

import base64
from urllib.parse import quote_plus

from relay.domain.credentials import BasicAuth, Bearer, EndpointAuth, KeyAuth, Tokens

Header = tuple[str, str]


def fixed_header(auth: EndpointAuth | None) -> Header | None:
    """The header that has fixed credentials; None: there is none."""
    match auth:
        case BasicAuth(username, password):
            return "authorization", "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        case Bearer(token):
            return "authorization", f"Bearer {token}"
        case KeyAuth(in_="header", name=name):
            return name.lower(), auth.text
        case _:
            return None


def shown_header(auth: EndpointAuth | None, hidden: str) -> Header | None:
    """The header that has credentials, with `hidden` in the place of the secret; None: there is none."""
    match auth:
        case BasicAuth():
            return "authorization", f"Basic {hidden}"
        case Bearer():
            return "authorization", f"Bearer {hidden}"
        case KeyAuth(in_="header", name=name, prefix=prefix):
            return name.lower(), prefix + hidden
        case Tokens(scheme=scheme):
            return "authorization", f"{scheme} {hidden}"
    return None


def with_key(url: str, auth: EndpointAuth | None) -> str:
    """A URL as it is sent: with the key in its query, if the endpoint's credentials stand there.

    >>> with_key("https://crm.example/a?b=c#d", KeyAuth(in_="query", name="api_key", value="e&f"))
    'https://crm.example/a?b=c&api_key=e%26f#d'
    """
    if not isinstance(auth, KeyAuth) or auth.in_ != "query":
        return url
    head, mark, fragment = url.partition("#")
    joint = "" if head.endswith(("?", "&")) else "&" if "?" in head else "?"
    return f"{head}{joint}{quote_plus(auth.name)}={quote_plus(auth.text)}{mark}{fragment}"

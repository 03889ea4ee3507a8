"""What an answer that is no success means, in one line: what was wrong, and what to do."""

from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from relay.cli.client.places import Place
from relay.cli.faults import Refusal
from relay.domain.masking import cut, printable

DETAILS = 8
"""How many faults of a request are named."""


def refusal(response: httpx.Response, place: Place) -> Refusal:
    """The error for a response with a status of 400 or more."""
    problem = _problem(response)
    status, code = response.status_code, str(problem.get("code", ""))
    return Refusal(_words(status, _detail(problem), response, place), status=status, code=code)


def unreachable(error: httpx.HTTPError, place: Place) -> Refusal:
    """The error for a request that got no answer."""
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        why = f"the certificate of {place.url} is not trusted ({_short(error)}): set SSL_CERT_FILE to that of its CA"
    elif isinstance(error, httpx.ProxyError):
        why = f"the proxy to {place.url} refuses ({_short(error)}): check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
    elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and _is_proxied(place.url):
        why = (
            f"cannot connect to the proxy to {place.url} ({_short(error)}): check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
        )
    elif isinstance(error, httpx.ConnectError):
        why = f"cannot connect to the relay at {place.url} ({_short(error)}): check that it runs, and its URL"
    elif isinstance(error, httpx.ConnectTimeout):
        why = f"the relay at {place.url} does not accept connections: check its URL, and the network between"
    elif isinstance(error, httpx.TimeoutException):
        why = f"the relay at {place.url} did not answer in time: look at its log, and try again"
    elif isinstance(error, httpx.LocalProtocolError):
        # Its text has the header that cannot be sent, and a header has the key.
        why = f"no header can have the API key of {place.key_from}: set a valid key"
    else:
        why = f"the connection to the relay at {place.url} broke ({_short(error)}): try again"
    return Refusal(why)


def not_json(response: httpx.Response, place: Place) -> Refusal:
    """The error for a success that no relay gives."""
    kind = response.headers.get("content-type", "no content type")
    return Refusal(f"{place.url} answered {response.status_code} with {printable(kind)} and not JSON: is it a relay?")


def _words(status: int, detail: str, response: httpx.Response, place: Place) -> str:
    if status == 401:
        return f"the relay at {place.url} does not accept the API key of {place.key_from}: set a valid key"
    if status == 403:
        return f"the API key of {place.key_from} must not do this: {detail}"
    if status == 422:
        return f"the relay refuses this: {detail}"
    if status == 429:
        wait = response.headers.get("retry-after", "some")
        return f"too many requests with the API key of {place.key_from}: try again in {printable(wait)} s"
    if status >= 500:
        return f"the relay at {place.url} failed ({status}): {detail or 'look at its log'}"
    if response.is_redirect:
        to = cut(printable(response.headers.get("location", "another place")))
        return f"{place.url} redirects to {to}: set the URL of the relay itself"
    return detail or f"{place.url} answered {status}: is it a relay?"


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _detail(problem: dict[str, Any]) -> str:
    detail = problem.get("detail")
    if not isinstance(detail, list):
        return cut(printable(str(detail))) if detail else ""
    faults = [str(each.get("msg", each)) if isinstance(each, dict) else str(each) for each in detail]
    more = f"; and {len(faults) - DETAILS} more" if len(faults) > DETAILS else ""
    return cut(printable("; ".join(faults[:DETAILS]))) + more


def _is_proxied(url: str) -> bool:
    """Whether the environment has a proxy for a URL."""
    parts, proxies = urlsplit(url), getproxies()
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(parts.hostname or "")


def _short(error: httpx.HTTPError) -> str:
    return cut(printable(str(error) or type(error).__name__), most=160)

"""An endpoint's URL that is a secret: what a request means that omits it, or sends it back as it was shown."""

from collections.abc import Iterator
from typing import Any

from relay.api.asked import Asked
from relay.domain.credentials import SecretUrl
from relay.domain.model import Endpoint
from relay.domain.secret_urls import HIDDEN_PATH, masked
from relay.errors import Fault


def url_faults(asked: Asked, stored: Endpoint | None) -> Iterator[Fault]:
    """Faults of a URL that is, was or becomes a secret."""
    url, is_secret = asked.get("url"), asked.get("urlIsSecret")
    if not asked.sound("url", "urlIsSecret"):
        return
    if is_secret and asked.get("type", stored.type if stored else "webhook") == "poller":
        yield Fault(("body", "urlIsSecret"), "must be omitted: a poller has no URL")
    elif isinstance(url, str) and url.endswith(HIDDEN_PATH) and not _is_kept(url, stored):
        yield Fault(("body", "url"), "hides its path: send the whole URL")
    elif is_secret is False and stored is not None and stored.secret_url is not None and _is_kept(url, stored):
        yield Fault(("body", "url"), "is required, because the stored URL is a secret: send it again", "missing")


def whole_url(url: Any, stored: Endpoint | None) -> str:
    """The URL that a request means; empty: there is none."""
    if stored is not None and _is_kept(url, stored):
        return stored.dialled_url
    return url if isinstance(url, str) else ""


def url_fields(url: Any, is_secret: Any, stored: Endpoint | None) -> dict[str, Any]:
    """The fields of an endpoint for what a request says; UNSET, or anything else but a boolean, keeps what there is."""
    whole = whole_url(url, stored)
    if not isinstance(is_secret, bool):
        is_secret = stored is not None and stored.secret_url is not None
    if is_secret and whole:
        return {"url": masked(whole), "secret_url": SecretUrl(whole)}
    return {"url": whole, "secret_url": None}


def _is_kept(url: Any, stored: Endpoint | None) -> bool:
    """Whether a request leaves the URL as it is stored."""
    if stored is None:
        return False
    return not isinstance(url, str) or not url or (stored.secret_url is not None and url == stored.url)

"""The REST API as commands use it: one request at a time, checked answers, and lists page by page."""

import time
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

import httpx

from relay.cli.client.answers import not_json, refusal, unreachable
from relay.cli.client.places import Place
from relay.cli.faults import Misused, Refusal
from relay.domain.url_paths import url_path
from relay.errors import Invalid

CONNECT_S = 10.0
ANSWER_S = 60.0
PAGE = 250
"""Objects in a page, as many as the API gives."""
ATTEMPTS = 3
"""How often a request is sent that the relay cannot take at this moment (429, 503, 409 `being_deleted`)."""
LONGEST_WAIT_S = 10.0
LARGEST_ANSWER = 64 << 20

_LATER = {429, 503}


class Answer(dict[str, Any]):
    """An object of the relay. A field that is not there is a refusal, and no fault of the command."""

    def __missing__(self, name: str) -> Any:
        """Raise Refusal."""
        raise Refusal(f"the answer has no {name!r}: the relay is of another release than this command, or is no relay")


class Api:
    """A relay's API. Raises Refusal for everything that is not a success."""

    def __init__(self, place: Place, transport: httpx.BaseTransport | None = None) -> None:
        self.place = place
        try:
            self._http = httpx.Client(
                base_url=f"{place.url}/api/v1/",
                headers={
                    "authorization": f"Bearer {place.key.reveal()}",
                    "user-agent": f"relay-cli/{version('infinity-event-relay')}",
                },
                timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
                transport=transport,
            )
        except OSError as error:
            raise Misused(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error.strerror}") from None
        except (ValueError, ImportError, httpx.InvalidURL):
            # Their texts can have the password of a proxy.
            raise Misused(
                "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY must be the http or https URL of a proxy: correct it, or set "
                "NO_PROXY to the host of the relay"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an object. Parameters that are None are left out."""
        return self._asked("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Create something or start a step. A repeated request has the same idempotency key."""
        return self._asked("POST", path, body=body, query=query, headers={"idempotency-key": str(uuid.uuid4())})

    def put(self, path: str, body: Any) -> Any:
        """Create or replace an object."""
        return self._asked("PUT", path, body=body)

    def patch(self, path: str, body: Any) -> Any:
        """Change an object."""
        return self._asked("PATCH", path, body=body)

    def delete(self, path: str) -> None:
        """Delete an object."""
        self._asked("DELETE", path)

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The objects of a list, over all of its pages."""
        iterator = None
        while True:
            page = self.get(path, **{"limit": PAGE, **query, "iterator": iterator})
            found = page["data"]
            if not isinstance(found, list) or not all(isinstance(each, Answer) for each in found):
                raise Refusal(f"{self.place.url} answered with JSON that no relay gives: check the URL")
            yield from found
            iterator = page.get("iterator")
            if page.get("done", True) or not iterator:
                return

    def stream(self, path: str, **query: Any) -> Iterator[httpx.Response]:
        """One response whose body is read while it arrives, without an end in time."""
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        try:
            with self._http.stream("GET", path, params=_given(query), timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    raise refusal(response, self.place)
                yield response
        except httpx.HTTPError as error:
            raise unreachable(error, self.place) from None

    def _asked(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        left = ATTEMPTS
        while True:
            try:
                response = self._http.request(method, path, json=body, params=_given(query or {}), headers=headers)
            except httpx.HTTPError as error:
                raise unreachable(error, self.place) from None
            left -= 1
            if not left or (wait_s := _wait_s(response)) is None:
                break
            time.sleep(wait_s)
        if response.is_error or response.is_redirect:
            raise refusal(response, self.place)
        if response.status_code == 204 or not response.content:
            return None
        try:
            found = response.json(object_hook=Answer)
        except (ValueError, RecursionError):
            raise not_json(response, self.place) from None
        if not isinstance(found, Answer):
            raise Refusal(f"{self.place.url} answered with JSON that no relay gives: check the URL")
        return found


def path_of(*parts: str) -> str:
    """A path whose parts come from arguments. Raises Misused for a part that would lead to another object."""
    try:
        return url_path(*parts)
    except Invalid as error:
        raise Misused(f"an argument {error.faults[0].message}") from None


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _wait_s(response: httpx.Response) -> float | None:
    """How long to wait before the request is sent again; None: it is not."""
    if response.status_code not in _LATER and not (response.status_code == 409 and "retry-after" in response.headers):
        return None
    try:
        asked = float(response.headers.get("retry-after", "1"))
    except ValueError:
        return None
    return asked if 0 <= asked <= LONGEST_WAIT_S else None

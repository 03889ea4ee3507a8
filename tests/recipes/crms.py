"""A stand-in for the APIs that recipes send to: a small HTTP server that answers as their documentation says.

Each case has an address of its own, and behind it one system that is empty at first. It records every request.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fault.serving import Exchange, serving
from tests.recipes.facts import Request

Reply = tuple[int, Any]
"""A status, and what is sent as JSON; a text is sent as it is."""


@dataclass
class Crm:
    """One system. `script` has answers to its next requests, in place of its own; not to searches and for tokens."""

    origin: str
    answers: Callable[["Crm", Request], Reply]
    refusal: Reply | None = None
    """What a request with a token that has expired is answered; None: no tokens are used."""
    got: list[Request] = field(default_factory=list)
    """All requests but those for tokens."""
    script: deque[tuple[int, Any, tuple[str, ...]]] = field(default_factory=deque)
    contacts: dict[str, str] = field(default_factory=dict)
    """Ids by the digits of a telephone number."""
    records: dict[str, Any] = field(default_factory=dict)
    grants: list[dict[str, str]] = field(default_factory=list)
    """What was asked for tokens."""
    token: str = ""
    """The only one that is good."""

    def expire(self) -> None:
        """No token is good until the next one is given."""
        self.token = "none"

    def then(self, status: int, body: Any = None, *headers: str) -> None:
        """Answer one of the next requests so."""
        self.script.append((status, body, headers))

    def take(self, exchange: Exchange) -> None:
        """Answer a request."""
        request = _read(exchange)
        if urlsplit(request.target).path.endswith("/token"):
            _send(exchange, 200, self._grant(request))
            return
        self.got.append(request)
        if self.refusal is not None and request.headers.get("authorization", "").split()[-1:] != [self.token]:
            _send(exchange, *self.refusal)
        elif self.script and not is_search(request):
            status, body, headers = self.script.popleft()
            _send(exchange, status, body, *headers)
        else:
            _send(exchange, *self.answers(self, request))

    def _grant(self, request: Request) -> Any:
        self.grants.append({name: values[0] for name, values in parse_qs(request.body.decode()).items()})
        self.token = f"token-{len(self.grants)}"
        return {"access_token": self.token, "expires_in": 3600, "api_domain": self.origin}

    @property
    def writes(self) -> list[Request]:
        """All requests but searches."""
        return [each for each in self.got if not is_search(each)]


def is_search(request: Request) -> bool:
    """Whether a request only looks something up."""
    return "/search" in request.target


def _read(exchange: Exchange) -> Request:
    method = exchange.head.split(" ", 1)[0]
    lines = [line.partition(": ") for line in exchange.head.split("\r\n")[1:]]
    return Request(method, exchange.target, {name.lower(): value for name, _, value in lines}, exchange.body)


def _send(exchange: Exchange, status: int, body: Any = None, *headers: str) -> None:
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    exchange.answer(status, text.encode(), "content-type: application/json", *headers)


def hubspot(crm: Crm, request: Request) -> Reply:
    """Contacts are found by their national number, and calls have numbers."""
    if is_search(request):
        found = crm.contacts.get(request.json["filterGroups"][0]["filters"][0]["value"])
        return 200, {"total": bool(found), "results": [{"id": found}] if found else []}
    if request.method == "POST":
        return 201, {"id": _new(crm, request.json["properties"])}
    call = request.target.rpartition("/")[2]
    if call not in crm.records:
        return 404, {"category": "OBJECT_NOT_FOUND"}
    crm.records[call] |= request.json["properties"]
    return 200, {"id": call}


def salesforce(crm: Crm, request: Request) -> Reply:
    """An upsert by an external id."""
    is_new = request.target not in crm.records
    crm.records[request.target] = crm.records.get(request.target, {}) | request.json
    return (201 if is_new else 200), {"id": "00T1", "success": True, "created": is_new}


def composite(crm: Crm, request: Request) -> Reply:
    """Subrequests, one after the other; one that refers to a record that was not found fails."""
    results: list[dict[str, Any]] = []
    who = None
    for part in request.json["compositeRequest"]:
        if part["method"] == "GET":
            query = unquote(part["url"])
            who = next((found for digits, found in crm.contacts.items() if f"'{digits}'" in query), None)
            status, body = 200, {"records": [{"Id": who}] if who else []}
        elif "WhoId" in part["body"] and who is None:
            status, body = 400, [{"errorCode": "PROCESSING_HALTED", "message": "Invalid reference specified"}]  # type: ignore[assignment]
        else:
            fields = {name: who if name == "WhoId" else value for name, value in part["body"].items()}
            is_new = part["url"] not in crm.records
            crm.records[part["url"]] = crm.records.get(part["url"], {}) | fields
            status, body = (201 if is_new else 200), {"id": "00T1"}  # type: ignore[assignment]
        results.append({"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": part["referenceId"]})
    return 200, {"compositeResponse": results}


def dynamics(crm: Crm, request: Request) -> Reply:
    """An upsert by our own GUID: 204 either way."""
    crm.records[request.target] = request.json
    return 204, None


def pipedrive(crm: Crm, request: Request) -> Reply:
    """Persons are found by the number as it is stored."""
    if is_search(request):
        found = crm.contacts.get(parse_qs(urlsplit(request.target).query)["term"][0])
        return 200, {"success": True, "data": {"items": [{"item": {"id": int(found)}}] if found else []}}
    if request.method == "POST":
        return 201, {"success": True, "data": {"id": int(_new(crm, request.json))}}
    crm.records[request.target.rpartition("/")[2]] |= request.json
    return 200, {"success": True, "data": {"id": int(request.target.rpartition("/")[2])}}


def zoho(crm: Crm, request: Request) -> Reply:
    """A field with unique values: an insert with one that is there is refused."""
    (fields,) = request.json["data"]
    if request.method == "PUT":
        crm.records[request.target.rpartition("/")[2]] |= fields
        return 200, _zoho("SUCCESS", request.target.rpartition("/")[2])
    for record, known in crm.records.items():
        if known["Infinity_Key"] == fields["Infinity_Key"]:
            return 400, _zoho("DUPLICATE_DATA", record)
    return 201, _zoho("SUCCESS", _new(crm, fields))


def _zoho(code: str, record: str) -> Any:
    return {"data": [{"code": code, "details": {"id": record}, "status": "success" if code == "SUCCESS" else "error"}]}


def accepting(status: int, body: Any = None) -> Callable[[Crm, Request], Reply]:
    """One that accepts everything, and says no more."""
    return lambda _crm, _request: (status, body)


def _new(crm: Crm, fields: Any) -> str:
    record = str(9001 + len(crm.records))
    crm.records[record] = dict(fields)
    return record


class Crms:
    """All of them, by their addresses."""

    def __init__(self) -> None:
        self.port = 0
        self._by_address: dict[str, Crm] = {}

    def open(self, answers: Callable[[Crm, Request], Reply], refusal: Reply | None = None) -> Crm:
        """One more."""
        authority = f"127.0.7.{1 + len(self._by_address)}:{self.port}"
        crm = self._by_address[authority] = Crm(f"http://{authority}", answers, refusal)
        return crm

    def take(self, exchange: Exchange) -> None:
        """Lead a request to whom it is for."""
        self._by_address[exchange.header("host")].take(exchange)


@asynccontextmanager
async def crms() -> AsyncIterator[Crms]:
    """Run them for as long as the block lasts."""
    running = Crms()
    async with serving(running.take, host="0.0.0.0") as port:
        running.port = port
        yield running

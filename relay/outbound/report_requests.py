"""What the reports API is asked: URLs and headers (infinity-api.md 2)."""

from base64 import b64encode

from relay.domain.model import ApiKeyAuth, Source, SourceAuth


def rows_url(
    source: Source,
    route: str,
    *,
    after: int,
    limit: int,
    until: int | None,
    row_ids_only: bool,
    until_day: str | None = None,
) -> str:
    """Rows with ids above `after`, up to `until` (None: without a bound), ascending; all columns, or rowIds alone.

    `until_day` leaves out rows of later days (infinity-api.md 2.5).
    """
    days = "" if until_day is None else f"&endDate={until_day}"
    shown = "&display[]=rowId" if row_ids_only else ""
    rows = f"limit={limit}&sort[]=rowId-asc&filter[]=rowId-gt-value-{after}{_up_to(until)}"
    return _url(source, route, rows + days + shown)


def newest_url(source: Source, route: str, *, until: int | None) -> str:
    """The row with the highest id (up to `until`)."""
    return _url(source, route, f"limit=1&sort[]=rowId-desc{_up_to(until)}")


def first_url(source: Source, route: str, *, day: str) -> str:
    """The row with the lowest id of those of a day and later. `endDate` is optional (infinity-api.md 2.5)."""
    return _url(source, route, f"limit=1&sort[]=rowId-asc&startDate={day}")


def recording_url(source: Source, row_id: int) -> str:
    """The recording of a call (infinity-api.md 4.4)."""
    return f"{_igrp(source)}/callRecording/{row_id}"


def trace_url(source: Source, visitor: str, *, until: int, limit: int) -> str:
    """The newest rows of a visitor, up to a rowId (infinity-api.md 4.1). `visitor` needs no escaping."""
    query = f"format=json&limit={limit}&sort[]=rowId-desc{_up_to(until)}"
    return f"{_igrp(source)}/visitors/{visitor}/triggers?{query}"


def headers_of(auth: SourceAuth) -> dict[bytes, bytes]:
    """The headers of a request, with the credentials."""
    # As bytes: text that is not ASCII would be quoted in the error that it raises.
    if isinstance(auth, ApiKeyAuth):
        credentials = b"ApiKey " + auth.key.encode()
    else:
        credentials = b"Basic " + b64encode(f"{auth.username}:{auth.password}".encode())
    return {
        b"authorization": credentials,
        b"accept": b"application/x-ndjson, application/json",
        b"accept-encoding": b"identity",
    }


def _up_to(until: int | None) -> str:
    return "" if until is None else f"&filter[]=rowId-le-value-{until}"


def _url(source: Source, route: str, query: str) -> str:
    # Brackets stay as they are: that is how the API's known clients send them (H34).
    return f"{_igrp(source)}/triggers/{route}?format=json&{query}"


def _igrp(source: Source) -> str:
    return f"{source.base_url.rstrip('/')}/reports/{source.version}/igrps/{source.igrp}"

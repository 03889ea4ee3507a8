"""The names of statuses in answers, the same with each version of Python: 3.13 took those of RFC 9110."""

from http import HTTPStatus

_KEPT = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Entity Too Large",
    HTTPStatus.REQUEST_URI_TOO_LONG: "Request-URI Too Long",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "Requested Range Not Satisfiable",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Entity",
}


def phrase_of(status: HTTPStatus) -> str:
    """The name of a status.

    >>> phrase_of(HTTPStatus.UNPROCESSABLE_ENTITY), phrase_of(HTTPStatus.NOT_FOUND)
    ('Unprocessable Entity', 'Not Found')
    """
    return _KEPT.get(status, status.phrase)

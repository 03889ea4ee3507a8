"""The OpenAPI document of the framework, with the schemas of msgspec, which converts the bodies.

Services do not make it: `make openapi` records it, and relay.api.recorded reads the record.
"""

from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from relay.api.access import Reach, access_of, reach_of, required
from relay.api.callback_docs import webhooks
from relay.api.error_responses import describe_errors, error_responses
from relay.api.examples import Examples, add_examples
from relay.api.field_docs import describe_fields
from relay.api.parameter_docs import describe_parameter
from relay.api.parameters import longest_name
from relay.api.repeating import PARAMETER
from relay.api.schemas.common import In, Out
from relay.domain.names import NAME
from relay.domain.phrases import phrase_of

REFERENCE = "#/components/schemas/{name}"
JSON = "application/json"
STREAMED = ("audio/*", "text/event-stream")
"""What is not JSON."""
PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457), with the `code` and `detail` that Svix's clients read",
    "required": ["type", "title", "status", "code", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "description": "The kind of error, as a URI: `urn:relay:problem:` and the code"},
        "title": {"type": "string", "description": "The name of the status"},
        "status": {"type": "integer", "description": "The status of the response"},
        "code": {"type": "string", "description": "The kind of error, for programs"},
        "detail": {
            "description": "What is wrong, and what to do. On 422 a list",
            "oneOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "description": "On 422: every fault of the request",
                    "items": {
                        "type": "object",
                        "required": ["loc", "msg", "type"],
                        "additionalProperties": False,
                        "properties": {
                            "loc": {
                                "type": "array",
                                "items": {"type": "string"},
                                "description": "The path to the fault, from `body`, `path`, `query` or `header` on",
                            },
                            "msg": {"type": "string"},
                            "type": {"type": "string"},
                        },
                    },
                },
            ],
        },
    },
}


CONFIG = OpenAPIConfig(
    title="Infinity event relay",
    version="",
    description="Applications, endpoints, messages and attempts have Svix's shapes, so Svix's clients work.",
    use_handler_docstrings=True,
    components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
)
"""What the framework needs in order to describe the operations: an argument of create_api."""


def document_of(app: Litestar, examples: Examples) -> dict[str, Any]:
    """The whole document, as JSON values. `app` was created with CONFIG."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    operations = [(document["paths"][path][method], handler) for path, method, handler in _operations(app, document)]
    types = [kind for _, handler in operations for kind in (_taken(handler), _given(handler)) if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    described = dict(zip(map(str, types), schemas, strict=True))
    for operation, handler in operations:
        if "requestBody" in operation:
            operation["requestBody"]["required"] = not handler.parsed_data_field.has_default
        _describe(operation, described.get(str(_taken(handler))), described.get(str(_given(handler))))
    for path, method, handler in _operations(app, document):
        _describe_access(document["paths"][path][method], path, method, handler)
        describe_errors(document["paths"][path][method], method)
    describe_fields(components, In, Out)
    errors = error_responses(examples.problems)
    document["components"] |= {"schemas": dict(sorted({**components, "Problem": PROBLEM}.items())), "responses": errors}
    add_examples(document, examples)
    document["webhooks"] = webhooks()
    plain: dict[str, Any] = _plain(document)
    return plain


def _operations(app: Litestar, document: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        (route.path_format, method.lower(), handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method.lower() in document["paths"].get(route.path_format, {})
    ]


def _taken(handler: Any) -> Any:
    """The type of an operation's request body, if it has one."""
    return handler.parsed_data_field.annotation if handler.parsed_data_field else None


def _given(handler: Any) -> Any:
    """The type of an operation's response body, if it has one."""
    given = handler.parsed_return_field.annotation
    if get_origin(given) is Response or given is Response:
        (given,) = get_args(given)
    return None if given in (None, type(None)) else given


def _describe(operation: dict[str, Any], taken: Any, given: Any) -> None:
    if taken is not None:
        operation["requestBody"]["content"] = {JSON: {"schema": taken}}
    for parameter in operation.get("parameters", ()):
        schema = _path_name(parameter["name"]) if parameter["in"] == "path" else _without_null(parameter["schema"])
        parameter["schema"] = schema
        parameter["schema"].pop("description", None)
        describe_parameter(parameter)
    responses = operation["responses"]
    responses.pop("400", None)
    for status, answer in responses.items():
        if answer["description"] == HTTPStatus(int(status)).description:
            answer["description"] = phrase_of(HTTPStatus(int(status)))  # The framework's sentences are about web pages.
        if given is not None and status.startswith("2") and status != "204":
            kind = next((each for each in STREAMED if each in answer.get("content", ())), JSON)
            answer["content"] = {kind: {"schema": given}}
        else:
            answer.pop("content", None)


def _describe_access(operation: dict[str, Any], path: str, method: str, handler: Any) -> None:
    """The scope that an operation requires, and what every POST takes. Roles of a scheme are scopes in OpenAPI 3.1."""
    if (access := access_of(handler)) is None:
        return
    needed = required(access, method.upper())
    reach = "" if reach_of(access, path) is not Reach.OPERATOR else " of a key for every application"
    operation["security"] = [{"key": [needed]}]
    operation["description"] = f"{operation.get('description', '')}\n\nRequired scope{reach}: `{needed}`.".strip()
    if method == "post":
        operation.setdefault("parameters", []).append(PARAMETER)


def _path_name(name: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest_name(name), "pattern": NAME}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without null, because no parameter can be null."""
    schema = dict(schema)
    options = [option for option in schema.pop("oneOf", ()) if option.get("type") != "null"]
    for option in options:
        schema |= option
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema


def _plain(value: Any) -> Any:
    r"""The same document, with `$` for `\Z` (patterns of JSON Schema are ECMAScript's, where `$` is the very end).

    An enumeration has the type of its values, which viewers need.
    """
    match value:
        case {"enum": [str(), *_]} if "type" not in value:
            return {"type": "string", **value}
        case {"enum": [int(), *_]} if "type" not in value:
            return {"type": "integer", **value}
        case dict():
            return {
                key: inner.replace(r"\Z", "$") if key == "pattern" and isinstance(inner, str) else _plain(inner)
                for key, inner in value.items()
            }
        case list():
            return [_plain(inner) for inner in value]
    return value

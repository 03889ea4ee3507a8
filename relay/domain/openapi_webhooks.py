"""Event types of an OpenAPI document: its webhooks, with the schemas of their bodies made whole.

The document is anybody's, as JSON. A schema refers to others in `components`; what is kept has them in its own `$defs`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from relay.domain.custom_types import MOST_TYPES, NAME_MOST, is_own, read_only, schemas_fault
from relay.domain.event_schemas import DIALECT
from relay.domain.model import Struct
from relay.domain.names import is_name, name_in_words
from relay.errors import Fault, Invalid

VERSION = "1"
"""Of the schemas that are imported."""
SECTIONS = ("webhooks", "x-webhooks")
"""Where a document has webhooks: from OpenAPI 3.1 on, and before."""
MOST_HOPS = 8
"""References that lead to references."""
_SCHEMAS = "#/components/schemas/"
_METHODS = ("post", "put", "patch", "get", "delete")

Json = Mapping[str, Any]


class Webhook(Struct, frozen=True, kw_only=True):
    """What a document says of one event type."""

    name: str
    description: str
    deprecated: bool
    schemas: dict[str, Any] | None
    group_name: str | None


def webhooks_of(document: Json) -> list[Webhook]:
    """The webhooks of a document, by name. Raises Invalid, with the paths of the faults in the document."""
    section = next((name for name in SECTIONS if document.get(name)), None)
    if section is None:
        raise Invalid(Fault(("webhooks",), "is required: the document has neither `webhooks` nor `x-webhooks`"))
    entries = document[section]
    if not isinstance(entries, dict):
        raise Invalid(Fault((section,), "must be an object: webhooks by the name of their event type"))
    if len(entries) > MOST_TYPES:
        raise Invalid(Fault((section,), f"must have at most {MOST_TYPES} webhooks, not {len(entries)}"))
    found = {name: _webhook(document, name, entry) for name, entry in sorted(entries.items())}
    if faults := [Fault((section, name), why) for name, each in found.items() for why in _faults(each)]:
        raise Invalid(*faults)
    return list(found.values())


def _faults(webhook: Webhook) -> Iterator[str]:
    if not is_name(webhook.name, most=NAME_MOST):
        yield f"is the name of an event type: it {name_in_words(NAME_MOST)}"
    elif is_own(webhook.name):
        yield read_only(webhook.name)
    elif webhook.schemas is not None and (why := schemas_fault(webhook.schemas)) is not None:
        yield f"has a schema that, together with the schemas that it refers to, {why}"


def _webhook(document: Json, name: str, entry: Any) -> Webhook:
    item = _resolved(document, entry)
    operation: Json = next((item[method] for method in _METHODS if isinstance(item.get(method), dict)), {})
    description = next((t for t in map(operation.get, ("description", "summary")) if isinstance(t, str) and t), "")
    tags = operation.get("tags")
    group = tags[0] if isinstance(tags, list) and tags and is_name(tags[0], most=NAME_MOST) else None
    schema = _body_schema(document, operation)
    return Webhook(
        name=name,
        description=description[:4096],
        deprecated=operation.get("deprecated") is True,
        schemas=None if schema is None else {VERSION: _whole(document, schema)},
        group_name=group,
    )


def _body_schema(document: Json, operation: Json) -> Json | None:
    """The schema of the request's body in JSON; None: it has none."""
    content = _resolved(document, operation.get("requestBody")).get("content")
    for kind, media in content.items() if isinstance(content, dict) else ():
        if "json" in kind.lower() and isinstance(media, dict) and isinstance(media.get("schema"), dict):
            return dict(media["schema"])
    return None


def _whole(document: Json, schema: Json) -> dict[str, Any]:
    """A schema with the schemas that it refers to, directly or not, in its `$defs`."""
    components = document.get("components")
    named = components.get("schemas") if isinstance(components, dict) else None
    whole: dict[str, Any] = {"$schema": DIALECT, **_moved(schema)}
    own = whole.get("$defs")
    defs: dict[str, Any] = dict(own) if isinstance(own, dict) else {}
    waiting = list(_names(schema))
    while waiting:
        name = waiting.pop()
        if name not in defs and isinstance(named, dict) and name in named:
            defs[name] = _moved(named[name])
            waiting += _names(named[name])
    return {**whole, "$defs": defs} if defs else whole


def _names(value: Any) -> Iterator[str]:
    """The components that a value refers to."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            yield reference.removeprefix(_SCHEMAS).partition("/")[0].replace("~1", "/").replace("~0", "~")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _names(each)


def _moved(value: Any) -> Any:
    """A value whose references to components lead into `$defs`."""
    if isinstance(value, list):
        return [_moved(each) for each in value]
    if not isinstance(value, dict):
        return value
    moved = {name: _moved(each) for name, each in value.items()}
    if isinstance(reference := value.get("$ref"), str) and reference.startswith(_SCHEMAS):
        moved["$ref"] = f"#/$defs/{reference.removeprefix(_SCHEMAS)}"
    return moved


def _resolved(document: Json, value: Any) -> Json:
    """An object, or the object that it refers to within the document; an empty one if there is none."""
    for _ in range(MOST_HOPS):
        reference = value.get("$ref") if isinstance(value, dict) else None
        if not isinstance(reference, str):
            break
        value = document if reference.startswith("#/") else None
        for part in reference[2:].split("/"):
            value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}

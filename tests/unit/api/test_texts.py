"""The texts of the OpenAPI document are plain English, by the rules that documents follow (docs/style.md)."""

import re
from collections.abc import Iterator
from typing import Any

from litestar import Litestar

from tests.meta.test_prose import MOST_WORDS, RIDDLES, sentences


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each description and summary of a document, with its place. Code is left out."""
    match value:
        case dict():
            for name, inner in value.items():
                if name in ("description", "summary") and isinstance(inner, str):
                    yield f"{path}/{name}", re.sub(r"`[^`\n]*`", "CODE", inner)
                else:
                    yield from texts(inner, f"{path}/{name}")
        case list():
            for at, inner in enumerate(value):
                yield from texts(inner, f"{path}/{at}")


def test_descriptions_have_no_riddles(app: Litestar) -> None:
    """Neither those of operations and parameters nor those of fields."""
    found = [
        (place, match[0], advice)
        for place, text in texts(app.state.document)
        for riddle, advice in RIDDLES.items()
        for match in re.finditer(riddle, text, re.I)
    ]
    assert found == []


def test_sentences_of_descriptions_are_short(app: Litestar) -> None:
    """One idea per sentence."""
    parts = [(place, each) for place, text in texts(app.state.document) for each in sentences(text)]
    assert [(place, each) for place, each in parts if len(each.split()) > MOST_WORDS] == []


def test_every_field_has_a_description(app: Litestar) -> None:
    """In requests and in responses."""
    components = app.state.document["components"]["schemas"]
    bare = [
        f"{name}.{field}"
        for name, schema in components.items()
        for field, inner in schema.get("properties", {}).items()
        if name != "Problem" and not inner.get("description") and field != "type"
    ]
    assert bare == []

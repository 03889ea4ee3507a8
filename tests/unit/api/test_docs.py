"""The API's own description."""

import re
from typing import Any


async def test_the_plain_page_loads_nothing_from_anywhere(client: Any) -> None:
    """The plain one: no script, no picture, no style sheet, and a policy that would refuse them."""
    answer = await client.get("/docs/plain")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert re.findall(r"<script|<link|<img|@import|url\(", answer.text) == []
    assert set(re.findall(r"(?:src|href|action)=.(.*?)[\"' >]", answer.text)) == {"/docs/openapi.json"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "/api/v1/app/{app_id}/endpoint" in answer.text
    assert "It receives every matching event that is stored after this response." in answer.text


async def test_the_schema_tells_of_errors_as_they_are(client: Any) -> None:
    """Every operation answers problems as `application/problem+json`, also those with a status of their own."""
    schema = (await client.get("/docs/openapi.json")).json()
    operations = [operation for item in schema["paths"].values() for operation in item.values()]
    assert len(operations) > 30
    for operation in operations:
        named = [each["$ref"].rpartition("/")[2] for each in operation["responses"].values() if "$ref" in each]
        assert "ServiceUnavailable" in named
        for name in named:
            assert list(schema["components"]["responses"][name]["content"]) == ["application/problem+json"]
        assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
    assert "secret" not in str(schema["components"]["schemas"]["EndpointOut"]["properties"].keys())

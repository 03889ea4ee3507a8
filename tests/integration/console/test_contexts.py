"""Hostile texts in the contexts of addresses, drawings and styles: they become no tag, no attribute and no address."""

from urllib.parse import quote

import httpx

from tests.browser.payloads import CONTEXTS
from tests.integration.console.walking import Page, Walker

AT = "/console/applications/contexts"
LEADS = ("/", "#", "?")
ADDRESSES = frozenset({"href", "src", "action", "formaction", "xlink:href", "background", "data", "srcdoc", "poster"})
FOREIGN = frozenset({"foreignobject", "use", "set", "animate", "iframe", "object", "embed", "base", "style"})


async def test_no_text_becomes_a_tag_or_an_address(operator: Walker, http: httpx.AsyncClient) -> None:
    """In names, descriptions, URLs, filters, headers, payloads, and in the addresses of pages themselves."""
    await http.post("/event-type", json={"name": "invoice.paid", "description": "An invoice was paid"})
    await http.put("/app/contexts", json={"name": CONTEXTS[0], "filter": {"c_x": {"$in": list(CONTEXTS)}}})
    for number, text in enumerate(CONTEXTS):
        body = {"url": f"https://crm.example/{quote(text)}", "description": text, "filter": {"c_x": text}}
        made = await http.put(f"/app/contexts/endpoint/e{number}", json=body | {"headers": {"x-said": text}})
        assert made.is_success, made.text
    said = {"eventType": "invoice.paid", "eventId": "posted", "payload": {text: text for text in CONTEXTS}}
    assert (await http.post("/app/contexts/msg", json=said)).is_success
    paths = ["/console/applications", AT, f"{AT}/settings", f"{AT}/messages", f"{AT}/messages/posted"]
    for number, text in enumerate(CONTEXTS):
        paths += [f"{AT}/endpoints/e{number}{page}" for page in ("", "/rules", "/secrets", "/settings")]
        asked = quote(text, safe="")
        paths += [f"{AT}/messages?source={asked}&row_id={asked}", f"/console/tail?endpoint={asked}&source={asked}"]
        paths += [f"/console/sign-in?next={asked}", f"/console/{asked}", f"/console/undelivered?source={asked}"]
    for path in paths:
        page = await operator.get(path)
        assert page.status < 500, path
        check(page, path)


def check(page: Page, path: str) -> None:
    """Only our own tags and attributes are there, and addresses of our own."""
    for tag, attributes in page.tags:
        assert tag not in FOREIGN, (path, tag)
        assert "style" not in attributes, (path, tag)
        assert [name for name in attributes if name.startswith(("on", "hx-on"))] == [], (path, tag)
        for name in ADDRESSES & set(attributes):
            value = attributes[name]
            assert value.startswith(LEADS) and not value.startswith(("//", "/\\")), (path, tag, value)  # noqa: PT018

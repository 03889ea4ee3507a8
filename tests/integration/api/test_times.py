"""Times have one form in every response of the API, and the same one in events."""

import re

import httpx
import pytest

from relay.domain.model import SourceUid
from tests.integration.api.conftest import TestClock
from tests.integration.api.storing import Store

SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}
LIKE_A_TIME = r'"(\d{4}-\d\d-\d\dT[^"]*)"'
FORM = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.mark.parametrize("after_ms", [0, 123])
async def test_timestamps_have_one_form_everywhere(
    http: httpx.AsyncClient, store: Store, clock: TestClock, after_ms: int
) -> None:
    """RFC 3339 in UTC with three digits and `Z`, whether the moment is a whole second or not."""
    clock.at_ms += after_ms
    await http.put("/source/uk", json=SOURCE)
    await http.post("/app", json={"name": "CRM", "uid": "crm"})
    await http.post("/app/crm/endpoint", json={"uid": "calls", "url": "https://hooks.example.com/in"})
    message = await store(SourceUid("uk"), 1, triggerDatetime="2018-01-16 13:20:11")
    times: list[str] = []
    for path in ("/source", "/source/uk", "/app", "/app/crm/endpoint", "/app/crm/msg", f"/app/crm/msg/{message}"):
        found = re.findall(LIKE_A_TIME, (await http.get(path)).text)
        assert found, path
        times += found
    assert [time for time in times if not re.fullmatch(FORM, time)] == []

"""The OpenAPI document against the API, by schemathesis: the answer to each generated call must be as described."""

import asyncio
import re
import sys
from pathlib import Path

import httpx
import pytest

from relay.domain.model import SourceUid
from tests.integration.api.storing import Store
from tests.patience import PATIENCE_S

KEY = "test-key-0123456789"
SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}
FEW = 2
"""How often the suite calls an operation. `make fuzz` does it more often."""
CONFIG = """
[parameters]
app_id = "{app}"
endpoint_id = "{endpoint}"
msg_id = "{message}"
"path.uid" = "s"
reconciliation_id = "{run}"
route = "all"
key_id = "{key}"

[checks]
# What a document can't say is refused as well: private addresses in URLs, or filters that mean nothing.
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422"]

# A tail lasts for an hour.
[[operations]]
include-path = "/api/v1/tail"
enabled = false

# The upstream of the source is not there, and 502 says so.
[[operations]]
include-path-regex = "/recording|/visitor-trace"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "502", "504"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "502", "504"]
"""

BRIEFLY = """
# Operations that take the body of an endpoint, which is as large as all other bodies together. One of them, POST
# /app/{app_id}/endpoint, is enough for the suite.
[[operations]]
include-path-regex = "/endpoint/{endpoint_id}$|/operational-webhook/endpoint$"
phases.coverage.enabled = false
"""


async def prepared(base_url: str, store: Store, folder: Path, *, is_brief: bool) -> Path:
    """A configuration that names things that are there, so that calls reach more than a 404."""
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=f"{base_url}/api/v1", headers=headers, timeout=PATIENCE_S) as client:
        await client.put("/source/s", json=SOURCE)
        app = (await client.put("/app/one", json={"name": "One"})).json()["id"]
        endpoint = (await client.put("/app/one/endpoint/crm", json={"url": "https://a.example/"})).json()["id"]
        run = (await client.post("/source/s/reconciliation", json={})).json()["id"]
        key = (await client.post("/key", json={"name": "k", "scopes": ["read"]})).json()["id"]
        message = await store(SourceUid("s"), 1, dgrpName="Sales")
    config = folder / "schemathesis.toml"
    text = CONFIG.format(app=app, endpoint=endpoint, message=message, run=run, key=key)
    config.write_text(text + BRIEFLY if is_brief else text)
    return config


@pytest.mark.timeout(3600)
async def test_the_document_is_what_the_api_does(
    base_url: str, store: Store, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """All checks: statuses, headers, content types and bodies of answers; methods, wrong and right data; the key.

    The suite leaves out the examples, which are tried on their own, the sequences of calls, which take minutes, and
    limits of fields that several operations have in common.
    """
    examples = pytestconfig.getoption("examples")
    phases = "coverage,fuzzing" if examples == FEW else "examples,coverage,fuzzing,stateful"
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli",
        "--config-file", str(await prepared(base_url, store, tmp_path, is_brief=examples == FEW)),
        "run", f"{base_url}/docs/openapi.json",
        "--header", f"Authorization: Bearer {KEY}",
        "--exclude-method", "DELETE", "--phases", phases,
        "--max-examples", str(examples), "--seed", "1", "--workers", "1", "--generation-database", "none",
        "--suppress-health-check", "all", "--no-color",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await run.communicate()
    text = out.decode()
    assert run.returncode == 0, text[-6000:]
    print(text[-2000:] if examples != FEW else "")
    (generated,) = re.findall(r"(\d+) generated", text)
    assert int(generated) > 1000

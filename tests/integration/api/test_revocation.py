"""A key that one process deletes lets nobody into another one."""

import asyncio
import base64
from pathlib import Path

import httpx

from tests.integration.api.conftest import KEY
from tests.integration.cli.test_starting import environment, start
from tests.patience import PATIENCE_S

SETTINGS = {"RELAY_ADMIN_KEY": KEY, "RELAY_ENCRYPTION_KEY": base64.b64encode(b"k" * 32).decode()}


async def listening(port: int) -> None:
    """Wait until a process that starts accepts connections."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return


async def test_a_deleted_key_stops_working_in_every_process(
    base_url: str, http: httpx.AsyncClient, redis_url: str, short_folder: Path
) -> None:
    """With the next request (G34), though the other process has used the key until then. So do scopes."""
    env = environment(short_folder, RELAY_REDIS_URL=redis_url, **SETTINGS)
    other = await start("serve", env)
    try:
        await listening(int(env["RELAY_PORT"]))
        key = (await http.post("/key", json={"name": "k", "scopes": ["read"]})).json()
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {key['token']}"}, timeout=PATIENCE_S) as caller:
            there = f"http://127.0.0.1:{env['RELAY_PORT']}/api/v1"
            for url in (f"{base_url}/api/v1", there):
                assert (await caller.get(f"{url}/source")).status_code == 200
            await http.patch(f"/key/{key['id']}", json={"scopes": ["event_type:read"]})
            assert (await caller.get(f"{there}/source")).status_code == 403
            assert (await http.delete(f"/key/{key['id']}")).status_code == 204
            assert (await caller.get(f"{there}/event-type")).status_code == 401
    finally:
        other.terminate()
        await other.wait()

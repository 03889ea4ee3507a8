"""A key that one process deletes lets nobody into another one."""

import asyncio
import time
from pathlib import Path

import httpx
from redis.asyncio import Redis

from tests.integration.cli.test_starting import NEEDED, environment, start

WITHIN_S = 1.0
ADMIN = {"authorization": f"Bearer {NEEDED['RELAY_ADMIN_KEY']}"}


async def listening(port: int) -> None:
    """Wait until a process that starts accepts connections."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return


async def test_a_deleted_key_stops_working_in_every_process(short_folder: Path, redis_url: str, redis: Redis) -> None:
    """Within a second (G34), though the other process has used the key until then. The same holds for fewer scopes."""
    environments = [environment(short_folder, RELAY_REDIS_URL=redis_url) for _ in range(2)]
    processes = [await start("serve", env) for env in environments]
    try:
        urls = [f"http://127.0.0.1:{env['RELAY_PORT']}/api/v1" for env in environments]
        for env in environments:
            await listening(int(env["RELAY_PORT"]))
        async with httpx.AsyncClient() as http:
            body = {"name": "k", "scopes": ["read"]}
            key = (await http.post(f"{urls[0]}/key", json=body, headers=ADMIN)).json()
            mine = {"authorization": f"Bearer {key['token']}"}
            for url in urls:
                assert (await http.get(f"{url}/source", headers=mine)).status_code == 200
            await http.patch(f"{urls[0]}/key/{key['id']}", json={"scopes": ["event_type:read"]}, headers=ADMIN)
            assert (await http.get(f"{urls[1]}/source", headers=mine)).status_code == 403
            assert (await http.delete(f"{urls[0]}/key/{key['id']}", headers=ADMIN)).status_code == 204
            deleted = time.monotonic()
            assert (await http.get(f"{urls[1]}/event-type", headers=mine)).status_code == 401
            assert time.monotonic() - deleted < WITHIN_S
    finally:
        for process in processes:
            process.terminate()
            await process.wait()

"""README, "Running it": pasted into a shell as it stands, it ends with a callback that arrived."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

README = Path(__file__).parents[2] / "README.md"
PORTS = ("RELAY_PORT", "RELAY_WORKER_PORT", "SANDBOX_PORT", "RECEIVER_PORT")


@pytest.mark.parametrize("ports", [PORTS])
def test_running_it_works_when_it_is_pasted(checkout: Path, shell: "subprocess.Popen[str]") -> None:
    """Keys in a private file, four processes, a source, an application, an endpoint, and a verified callback."""
    out, err = shell.communicate(pasted() + "\njobs -p >pids\nkill $(jobs -p)\nwait\n", timeout=200)
    first = json.loads(out.strip().splitlines()[-1])
    assert first["verified"], (out, err)
    assert first["source"] == "main"
    assert (checkout / "data/relay.env").stat().st_mode & 0o777 == 0o600
    assert len((checkout / "pids").read_text().split()) == 4


def test_what_the_helper_refuses_is_shown(checkout: Path) -> None:
    """`api` prints the body of an error, and ends with another code than 0."""
    helper = next(block for block in blocks() if "api()" in block).partition("api POST")[0]
    script = helper.replace("RELAY=http", ": http") + 'RELAY=$1; api GET app; echo "code $?"'
    server = subprocess.Popen([sys.executable, "-c", REFUSING], stdout=subprocess.PIPE, text=True, cwd=checkout)
    try:
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        done = subprocess.run(
            ["bash", "-c", script, "bash", url], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    finally:
        server.kill()
        server.communicate()
    assert done.stdout == '{"code":"invalid"}\ncode 22\n'


REFUSING = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(422)
        self.send_header("content-length", "18")
        self.end_headers()
        self.wfile.write(b'{"code":"invalid"}')
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def pasted() -> str:
    """The section's shell blocks, one after the other."""
    return "\n".join(blocks())


def blocks() -> list[str]:
    """The shell blocks of "Running it"."""
    section = README.read_text().partition("## Running it")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)

"""The audit fails for a vulnerability, and says what it could not audit."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.release import audit

LOCK = audit.ROOT / "requirements/build.txt"
KNOWN = {
    "id": "PYSEC-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "pluggy", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}],
        }
    ],
}


class _Database(BaseHTTPRequestHandler):
    """Knows one vulnerability, of pluggy."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["package"]["name"]
        body = json.dumps({"vulns": [KNOWN]} if asked == "pluggy" else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        pass


@pytest.fixture(name="database")
def _database(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def test_a_vulnerability_fails(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the package, its version and the release that has a fix."""
    found = audit.audit(LOCK, database)
    assert audit._report(LOCK, found) == 1
    assert "build.txt: pluggy 1.7.0: PYSEC-2026-1, fixed in 99" in capsys.readouterr().out


def test_a_database_that_does_not_answer_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """But the audit says that it did not take place."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = audit.audit(LOCK, f"http://127.0.0.1:{closed.getsockname()[1]}/v1/query")
    assert audit._report(LOCK, found) == 0
    assert "WARNING: build.txt: NOT audited: requests.exceptions.ConnectionError" in capsys.readouterr().out


def test_packages_that_the_database_does_not_know_are_named() -> None:
    """pip-audit reports them as free of vulnerabilities."""
    found = audit.outcome(0, '{"dependencies": [{"name": "h11", "skip_reason": "h11 was not found"}]}', "")
    assert found == audit.Outcome(unaudited=["h11 was not found"])


def test_another_failure_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A lock file that is missing must not pass for one without vulnerabilities."""
    found = audit.outcome(1, "", "ERROR:pip_audit._cli:invalid requirements input: missing.txt")
    assert audit._report(LOCK, found) == 1
    assert "pip-audit failed:\nERROR:pip_audit._cli:invalid requirements input" in capsys.readouterr().err

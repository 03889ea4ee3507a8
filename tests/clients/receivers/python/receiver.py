# pip install standardwebhooks==1.1.0
import json
import os
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

verifiers = [Webhook(secret) for secret in os.environ["WEBHOOK_SECRETS"].split()]  # after a rotation: new and old
inbox, limit = Path(os.environ.get("INBOX", "inbox")), 4 << 20
arrived = threading.Event()


def is_genuine(body: bytes, headers: dict[str, str]) -> bool:
    for verifier in verifiers:
        try:
            verifier.verify(body, headers, json_parse=False)
            return bool(re.fullmatch(r"[\w-]{1,64}", headers["webhook-id"]))
        except (WebhookVerificationError, ValueError):  # ValueError: a signature or a body that cannot be decoded
            continue
    return False


class Receiver(BaseHTTPRequestHandler):
    protocol_version, timeout = "HTTP/1.1", 20

    def do_POST(self) -> None:
        # 2xx: delivered. 410: the relay disables the endpoint. 429, 503: it waits for Retry-After. Others: it retries.
        self.send_response(self.receive())
        self.send_header("content-length", "0")
        self.end_headers()

    def receive(self) -> int:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > limit:
            self.close_connection = True
            return 413
        body = self.rfile.read(int(length))  # the raw bytes; nothing may parse them before they are verified
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not is_genuine(body, headers):
            return 401
        if not (inbox / "done" / headers["webhook-id"]).exists():  # a duplicate is answered 204, too
            part = inbox / f"{uuid.uuid4()}.part"
            part.write_bytes(body)
            part.replace(inbox / "new" / headers["webhook-id"])
            arrived.set()
        return 204


def work() -> None:  # run one worker: it processes each webhook-id once, and tries again what failed
    for file in (inbox / "new").iterdir():
        try:
            if not (inbox / "done" / file.name).exists():
                handle(json.loads(file.read_bytes()))
                (inbox / "done" / file.name).touch()
            file.unlink()
        except Exception as error:
            print(f"{file.name} failed: {error!r}", flush=True)


def handle(event: dict) -> None:  # your code: write the row `key` if `revision` is higher than what you have
    data = event.get("data", {})
    key, revision, row = data.get("key"), data.get("revision"), data.get("trigger", {})  # rowId and key stay texts
    talked = row.get("bridgeDuration")  # a number, but a text if Infinity sent something else
    answered = row.get("callStage") == "bridge" or (isinstance(talked, int) and talked > 0)
    print(event.get("type"), key, revision, "answered" if answered else "-", flush=True)


for name in ("new", "done"):
    (inbox / name).mkdir(parents=True, exist_ok=True)
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    work()
    arrived.wait(1)
    arrived.clear()

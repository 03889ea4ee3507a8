"""`relay endpoint test`: an example goes to an endpoint, and its answer is shown."""

import argparse
import time
from typing import Any

from relay.cli.client.api import Api, path_of
from relay.cli.faults import Exit
from relay.cli.output import Output

CALL = "call.created"
LOOK_S = 0.3
FAILED = 2


def test_endpoint(api: Api, out: Output, args: argparse.Namespace) -> int:
    """Send the example of an event type, wait for its first attempt, and print it."""
    path = path_of("app", args.app, "endpoint", args.endpoint, "send-example")
    message = api.post(path, {"eventType": args.type})
    attempts = path_of("app", args.app, "attempt", "msg", message["id"])
    ends = time.monotonic() + args.wait
    with out.progress("test") as progress:
        while True:
            found = api.get(attempts, limit=1)["data"]
            if found or time.monotonic() > ends:
                break
            progress.show(f"{message['id']} waits for its first attempt")
            time.sleep(LOOK_S)
    if not found:
        return _print_waiting(out, args, message)
    attempt = found[0]
    fields = {
        "message": message["id"],
        "result": "delivered" if attempt["status"] == 0 else "failed",
        "url": attempt["url"],
        "status": attempt["responseStatusCode"] or None,
        "error": attempt["error"] or None,
        "answer": attempt["response"] or None,
        "milliseconds": attempt["responseDurationMs"],
        "next attempt": attempt["nextAttempt"],
    }
    out.fields(fields, attempt)
    return Exit.WELL if attempt["status"] == 0 else Exit.FAILED


def _print_waiting(out: Output, args: argparse.Namespace, message: dict[str, Any]) -> int:
    text = (
        f"no attempt within {args.wait:g} s: is a worker running, and is the endpoint neither paused nor disabled? "
        f"The message {message['id']} waits"
    )
    out.fields({"message": message["id"], "result": text}, {"msgId": message["id"], "result": "waiting"})
    return Exit.FAILED

"""Following what runs in the background until it ends: backfills, reconciliations and replays."""

import time
from collections.abc import Callable
from typing import Any

from relay.cli.client.api import Api, path_of
from relay.cli.faults import Exit, Refusal
from relay.cli.output import Output

LOOK_S = (0.2, 2.0)
"""Pauses between two looks: the first one, and the longest one."""

GIVE_UP_AFTER = 15
"""Failed requests in a row."""

Look = Callable[[], Any]


def follow(look: Look, is_over: Callable[[Any], bool], show: Callable[[Any], None]) -> Any:
    """Look until something is over, and give how it ended. A relay that restarts is asked again."""
    pause_s, failed = LOOK_S[0], 0
    while True:
        try:
            found, failed = look(), 0
        except Refusal as error:
            failed += 1
            if failed == GIVE_UP_AFTER or not (error.status is None or error.status == 429 or error.status >= 500):
                raise
            time.sleep(LOOK_S[1])
            continue
        show(found)
        if is_over(found):
            return found
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LOOK_S[1])


def follow_backfill(api: Api, out: Output, source: str, started: Any) -> int:
    """Follow a backfill to its end, and print it."""
    path = path_of("source", source, "backfill", started["id"])
    out.note(f"backfill {started['id']} runs in the background. Ctrl-C stops watching, not the backfill")
    first = started["afterRowId"] or 0
    with out.progress("backfill") as progress:

        def show(now: Any) -> None:
            at, end = now["rowId"], now["untilRowId"]
            says = f"{now['rows']} rows, {now['events']} events"
            if now["waitingFor"]:
                says += f", waits for {', '.join(now['waitingFor'])}"
            ended = now["state"] != "running"
            total = None if not ended and at is None else float(max(end - first, 1))
            done = total if ended else float((at or first) - first)
            progress.show(says, done=done, total=total)

        ended = follow(lambda: api.get(path), lambda now: now["state"] != "running", show)
    names = ("id", "route", "state", "rows", "events", "error")
    out.fields({name: ended[name] for name in names} | {"dry run": ended["dryRun"]}, ended)
    return Exit.WELL if ended["state"] == "done" else Exit.FAILED


def follow_task(api: Api, out: Output, started: Any) -> int:
    """Follow a background task of a replay to its end, and print it."""
    path = path_of("background-task", started["id"])
    out.note(f"task {started['id']} runs in the background. Ctrl-C stops watching, not the task")
    with out.progress("replay") as progress:

        def show(now: Any) -> None:
            data = now["data"]
            says = f"{data['chosen']} chosen, {data['queued']} queued, {data['waiting']} waiting"
            total = float(max(data["chosen"], 1))
            progress.show(says, done=float(data["chosen"] if data["dryRun"] else data["queued"]), total=total)

        ended = follow(lambda: api.get(path), lambda now: now["status"] != "running", show)
    data = ended["data"]
    fields = {
        "task": ended["id"], "state": data["state"], "dry run": data["dryRun"], "chosen": data["chosen"],
        "queued": data["queued"], "changed": data["changed"], "too old": data["tooOld"], "error": data["error"],
    }  # fmt: skip
    out.fields(fields, ended)
    return Exit.WELL if ended["status"] == "finished" else Exit.FAILED


def follow_reconciliation(api: Api, out: Output, source: str, started: Any) -> Any:
    """Follow a reconciliation to its end, and give it."""
    path = path_of("source", source, "reconciliation", started["id"])
    out.note(f"reconciliation {started['id']} runs in the background. Ctrl-C stops watching, not the reconciliation")
    with out.progress("reconcile") as progress:

        def show(now: Any) -> None:
            done = sum(each["rowId"] for each in now["progress"])
            total = sum(each["untilRowId"] for each in now["progress"])
            says = f"{now['state']}, {now['rowsShown']} rows"
            progress.show(says, done=float(done), total=float(total) if total else None)

        return follow(lambda: api.get(path), lambda now: now["state"] in ("done", "failed"), show)

"""`relay …` against a real API, worker and Redis: as in a pipe, as at a terminal of 80 columns, and as in CI."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.command_line import COLUMNS, KEY, SECRET, World, world
from tests.patience import PATIENCE_S
from tests.recipes.test_recipes import new_key

TOKEN = "hunter2hunter2hunter2"
LONG = "an-endpoint-whose-uid-is-so-long-that-no-column-has-room-for-it-in-one-line-of-text"
FILE = """
sources:
  main:
    baseUrl: "SANDBOX"
    igrp: 1
    auth: {type: apiKey, key: "${INFINITY_KEY}"}
    routes: [all]
    pollIntervalSeconds: 1
    startRowId: 0
applications:
  crm:
    name: "CRM ${STAGE}"
    sources: [main]
    endpoints:
      all:
        url: RECEIVER/all
        secret: "${SECRET}"
        headers: {X-Team: sales, X-Api-Key: "${CRM_TOKEN}"}
        auth: {type: basic, username: relay, password: "${CRM_TOKEN}"}
        filter: {callDuration: {$gt: 10}}
        lookup: {key: data.trigger.vid, url: RECEIVER/look, result: id, onMiss: send}
        paused: true
      LONG:
        recipe: slack-missed-call
        parameters: {webhookUrl: "https://hooks.slack.com/services/T000/B000/hunter2hunter2hunter2"}
        disabled: true
      live: {url: RECEIVER/live, secret: "${SECRET}"}
"""
VARIABLES = {
    "INFINITY_KEY": "00000000-0000-4000-8000-000000000001", "CRM_TOKEN": TOKEN, "SECRET": SECRET, "STAGE": "test",
}  # fmt: skip


@pytest.fixture(scope="module")
def on() -> Iterator[World]:
    """Everything runs, and the file was applied once."""
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    try:
        with world(folder) as running:
            text = FILE.replace("SANDBOX", running.sandbox).replace("RECEIVER", running.receiver).replace("LONG", LONG)
            (folder / "relay.yaml").write_text(text)
            done = running.run("apply", "-f", str(folder / "relay.yaml"), **VARIABLES)
            assert done.code == 0, done.err
            assert TOKEN not in done.out + done.err
            assert "5 to create, 1 to start" in done.out
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parsed(on: World, *arguments: str) -> Any:
    """The JSON of a command that must work."""
    done = on.run(*arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_apply_changes_only_what_differs(on: World, tmp_path: Path) -> None:
    """The same file again is nothing, an export too; a change is shown, made once, and no secret is printed."""
    file = str(on.folder / "relay.yaml")
    again = on.run("apply", "-f", file, "--dry-run", **VARIABLES)
    assert (again.code, again.out) == (0, "Nothing differs.\n")
    exported = on.run("export")
    (tmp_path / "export.yaml").write_text(exported.out)
    assert TOKEN not in exported.out
    # Values that are defaults of the API are left out.
    live = yaml.safe_load(exported.out)["applications"]["crm"]["endpoints"]["live"]
    assert live == {"url": f"{on.receiver}/live"}
    assert on.run("apply", "-f", str(tmp_path / "export.yaml"), "--prune", "--dry-run").out == "Nothing differs.\n"
    (tmp_path / "new.yaml").write_text(
        Path(file).read_text().replace("{$gt: 10}", "{$gt: 20}").replace("X-Team: sales", 'X-Team: "${CRM_TOKEN}"')
    )
    planned = on.run("apply", "-f", str(tmp_path / "new.yaml"), "--dry-run", **VARIABLES)
    assert planned.code == 3
    assert '{"callDuration": {"$gt": 10}} -> {"callDuration": {"$gt": 20}}' in planned.out
    assert '"X-Team": "${CRM_TOKEN}"' in planned.out
    assert TOKEN not in planned.out
    assert on.run("apply", "-f", str(tmp_path / "new.yaml"), **VARIABLES).code == 0
    assert on.run("apply", "-f", str(tmp_path / "new.yaml"), "--dry-run", **VARIABLES).code == 0
    back = on.run("apply", "-f", file, "--json", **VARIABLES)
    report = json.loads(back.out)
    assert (report["made"], {each["name"] for each in report["changes"][0]["fields"]}) == (1, {"filter", "headers"})


def test_prune_asks_before_it_deletes(on: World, tmp_path: Path) -> None:
    """In a pipe it needs --yes; at a terminal a person decides. Sections that the file lacks stay."""
    (tmp_path / "more.yaml").write_text("applications: {more: {endpoints: {e: {url: 'https://crm.example'}}}}")
    assert on.run("apply", "-f", str(tmp_path / "more.yaml")).code == 0
    (tmp_path / "less.yaml").write_text("applications: {more: {endpoints: {}}, crm: {}}")
    less = ("apply", "-f", str(tmp_path / "less.yaml"), "--prune")
    no = on.at_a_terminal(*less, keys=b"n\n")
    assert (no.code, "nothing was changed" in no.out) == (2, True)
    yes = on.at_a_terminal(*less, keys=b"y\n")
    assert (yes.code, "- endpoint more/e" in yes.out) == (0, True), yes.out
    (tmp_path / "crm.yaml").write_text("applications: {crm: {}}")
    assert on.run("apply", "-f", str(tmp_path / "crm.yaml"), "--prune", "--yes").code == 0
    assert len(parsed(on, "source", "list")) == 1
    assert len(parsed(on, "endpoint", "list")) == 3


def test_every_recipe_can_be_declared(on: World, tmp_path: Path) -> None:
    """Its endpoint is created once, and neither the file nor an export finds a difference afterwards."""
    api = {
        "url": f"http://127.0.0.1:{on.env['RELAY_PORT']}/api/v1/recipe",
        "headers": {"authorization": f"Bearer {KEY}"},
    }
    recipes = httpx.get(**api, timeout=PATIENCE_S).json()["data"]  # type: ignore[arg-type]
    endpoints = {
        each["name"]: {
            "recipe": each["name"],
            "parameters": {parameter["name"]: parameter["example"] for parameter in each["parameters"]},
            "disabled": True,
        }
        for each in recipes
    }
    endpoints["google-data-manager"]["parameters"]["privateKey"] = "${PRIVATE_KEY}"
    private_key = new_key()
    assert len(endpoints) > 10
    (tmp_path / "recipes.yaml").write_text(json.dumps({"applications": {"crm": {}, "all": {"endpoints": endpoints}}}))
    recipes_file = str(tmp_path / "recipes.yaml")
    made = on.run("apply", "-f", recipes_file, PRIVATE_KEY=private_key)
    assert made.code == 0, made.err
    again = on.run("apply", "-f", recipes_file, "--dry-run", PRIVATE_KEY=private_key)
    assert again.out == "Nothing differs.\n"
    endpoints["slack-missed-call"]["parameters"]["chanel"] = "x"
    (tmp_path / "typo.yaml").write_text(json.dumps({"applications": {"all": {"endpoints": endpoints}}}))
    refused = on.run("apply", "-f", str(tmp_path / "typo.yaml"), "--dry-run", PRIVATE_KEY=private_key)
    assert (refused.code, "recipe slack-missed-call has no parameter 'chanel'" in refused.err) == (2, True), refused.err
    (tmp_path / "export.yaml").write_text(on.run("export").out)
    assert on.run("apply", "-f", str(tmp_path / "export.yaml"), "--dry-run", "--prune").out == "Nothing differs.\n"
    (tmp_path / "crm.yaml").write_text("applications: {crm: {}}")
    assert on.run("apply", "-f", str(tmp_path / "crm.yaml"), "--prune", "--yes").code == 0


def test_a_refusal_names_the_object_and_hides_secrets(on: World, tmp_path: Path) -> None:
    """What was made stays, and the next run continues."""
    (tmp_path / "bad.yaml").write_text(
        "applications: {other: {endpoints: {e: {url: 'https://crm.example', lookup: "
        "{key: $nope, url: 'https://crm.example', result: x}}}}}"
    )
    done = on.run("apply", "-f", str(tmp_path / "bad.yaml"))
    assert done.code == 1
    assert "1 of 2 changes were made" in done.err
    assert "relay apply: endpoint other/e: the relay refuses this: `lookup.key`" in done.err
    (tmp_path / "bad.yaml").write_text("applications: {crm: {}}")
    assert on.run("apply", "-f", str(tmp_path / "bad.yaml"), "--prune", "--yes").code == 0


def test_what_runs_in_the_background_is_followed(on: World) -> None:
    """Until rows are there, reconciled, replayed and backfilled; with exit codes, and JSON."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    while parsed(on, "source", "show", "main")["routeStates"]["all"]["caughtUpAt"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found = on.run("reconcile", "main")
    assert (found.code, "Nothing differs." in found.out) == (0, True)
    assert "reconcile: done, 300 rows" in found.err
    counted = parsed(on, "source", "rewind", "main", "all", "1", "--dry-run")
    assert (counted["state"], counted["rows"], counted["dryRun"]) == ("done", 300, True)
    replay = on.run("replay", "crm", "live", "--states", "delivered", "--dry-run")
    assert (replay.code, "chosen" in replay.out) == (0, True), replay.err
    waiting = parsed(on, "undelivered", "--app", "crm", "--endpoint", "all", "--reasons")
    assert waiting[0]["reason"] == "endpoint_paused"
    assert on.run("undelivered", "--limit", "2").err.startswith("there are more than 2")


def test_sources_and_endpoints_are_steered(on: World) -> None:
    """Each step says what it led to."""
    assert parsed(on, "source", "pause", "main")["paused"] is True
    assert parsed(on, "source", "resume", "main")["paused"] is False
    assert parsed(on, "source", "pause", "main", "--route", "all")["paused"] is True
    assert parsed(on, "source", "resume", "main", "--route", "all")["paused"] is False
    assert on.run("source", "poll", "main").code == 0
    assert "freshness" in on.run("source", "show", "main").out
    assert parsed(on, "endpoint", "pause", "crm", "live")["paused"] is True
    assert parsed(on, "endpoint", "resume", "crm", "live")["paused"] is False
    tested = on.run("endpoint", "test", "crm", "live", "--wait", str(PATIENCE_S))
    assert tested.code == 0, tested
    assert re.search(r"^result +delivered$", tested.out, re.M)
    assert parsed(on, "endpoint", "secret", "show", "crm", "live")["key"] == SECRET
    assert parsed(on, "endpoint", "secret", "rotate", "crm", "live", "--grace", "600")["key"] != SECRET
    shown = on.run("endpoint", "show", "crm", LONG).out
    assert "transformation:" in shown
    assert TOKEN not in shown
    assert on.run("endpoint", "delete", "crm", "nope", "--yes").code == 1


def test_attempts_of_an_endpoint_are_listed(on: World) -> None:
    """The newest first, of one outcome, up to a limit; what does not exist is an error."""
    for _ in range(2):
        assert on.run("endpoint", "test", "crm", "live", "--wait", str(PATIENCE_S)).code == 0
    newest = parsed(on, "endpoint", "attempts", "crm", "live", "--limit", "1")
    assert [(each["statusText"], each["responseStatusCode"]) for each in newest] == [("success", 204)]
    limited = on.run("endpoint", "attempts", "crm", "live", "--status", "success", "--limit", "1")
    assert limited.out.startswith("when\tevent type\tmessage\toutcome\t")
    assert limited.err == "there are more than 1: see them with --limit\n"
    assert parsed(on, "endpoint", "attempts", "crm", "live", "--status", "fail") == []
    gone = on.run("endpoint", "attempts", "crm", "nope")
    assert (gone.code, gone.err.count("\n")) == (1, 1)


def test_applications_are_listed_and_deleted(on: World, tmp_path: Path) -> None:
    """Deleting one needs --yes in a pipe, and takes its endpoints with it."""
    (tmp_path / "more.yaml").write_text(
        "applications: {gone: {name: Gone, endpoints: {e: {url: 'https://crm.example'}}}}"
    )
    assert on.run("apply", "-f", str(tmp_path / "more.yaml")).code == 0
    assert {each["uid"] for each in parsed(on, "application", "list")} == {"crm", "gone"}
    assert re.search(r"^name +Gone$", on.run("application", "show", "gone").out, re.M)
    assert on.run("application", "delete", "gone").code == 2
    assert parsed(on, "application", "delete", "gone", "--yes") == {"deleted": "gone"}
    assert {each["uid"] for each in parsed(on, "application", "list")} == {"crm"}
    assert {each["appUid"] for each in parsed(on, "endpoint", "list")} == {"crm"}
    assert on.run("application", "show", "gone").code == 1


def test_a_link_lets_a_subscriber_in_once(on: World) -> None:
    """`relay portal link` prints a link with a button behind it. Whoever comes late is told to ask for another."""
    link = on.run("portal", "link", "crm", "--read-only").out.strip()
    with httpx.Client(follow_redirects=True, timeout=PATIENCE_S) as browser:
        assert "Open the portal" in browser.get(link).text
        assert "Sign out" in browser.post(link).text
    with httpx.Client(follow_redirects=True, timeout=PATIENCE_S) as late:
        used = late.post(link)
        assert (used.status_code, "Ask for a new link" in used.text) == (401, True)


def test_subscribers_are_signed_out(on: World) -> None:
    """`relay portal end` ends what a link began."""
    link = on.run("portal", "link", "crm").out.strip()
    with httpx.Client(follow_redirects=True, timeout=PATIENCE_S) as browser:
        assert "Sign out" in browser.post(link).text
        assert on.run("portal", "end", "crm", "--yes").code == 0
        assert "Ask for a new link" in browser.get(link.rsplit("/", 1)[0]).text


def test_tail_shows_an_attempt_when_it_ends(on: World) -> None:
    """From "listening" on, an attempt that the filters let through is a line, or the API's JSON. Ctrl-C ends it."""
    filters = ("--app", "crm", "--types", "call.created", "--outcomes", "delivered")
    with on.started("tail", *filters) as lines, on.started("tail", *filters, "--json") as documents:
        assert next(line_of(lines, "listening"))
        assert json.loads(next(line_of(documents, "start")))["type"] == "start"
        # Another type first: had the filter let it through, it would come before.
        assert on.run("endpoint", "test", "crm", "live", "--type", "goal.created", "--wait", str(PATIENCE_S)).code == 0
        tested = on.run("endpoint", "test", "crm", "live", "--wait", str(PATIENCE_S), "--json")
        message = json.loads(tested.out)["msgId"]
        shown = lines_until(lines, message)
        line = rf"\d\d:\d\d:\d\d delivered 204 \d+ ms  live  call\.created  {message}\n"
        assert re.fullmatch(line, shown[-1])
        # Rows come meanwhile too.
        assert [each for each in shown if "delivered" in each and "call.created" not in each] == []
        attempt = json.loads(lines_until(documents, message)[-1])
        assert (attempt["msgId"], attempt["endpointUid"], attempt["status"]) == (message, "live", 204)
        for process in (lines, documents):
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 130


def lines_until(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """All lines up to the first one with this word."""
    assert process.stdout
    found: list[str] = []
    for line in process.stdout:
        found.append(line)
        if word in line:
            break
    return found


def line_of(process: "subprocess.Popen[str]", word: str) -> Iterator[str]:
    """The lines with this word, as they come. A test that waits for one in vain ends at its time limit."""
    assert process.stdout
    return (line for line in process.stdout if word in line)


def test_keys_are_made_and_their_scopes_hold(on: World) -> None:
    """The token is printed once. What a key must not do is said with the key's place."""
    key = parsed(on, "key", "create", "ci", "--scopes", "source:read")
    profiles = on.folder / ".config/relay/profiles.toml"
    profiles.parent.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{on.env['RELAY_PORT']}"
    profiles.write_text(f'[ci]\nurl = "{url}"\nkey = "{key["token"]}"\n')
    assert "can read it" in on.run("source", "list", "--profile", "ci").err
    profiles.chmod(0o600)
    assert on.run("source", "list", "--profile", "ci").code == 0
    refused = on.run("source", "pause", "main", RELAY_PROFILE="ci")
    assert (refused.code, "profile 'ci'" in refused.err) == (1, True)
    assert on.run("source", "list", "--profile", "nope").code == 2
    assert [each["name"] for each in parsed(on, "key", "list")] == ["ci"]
    assert on.run("key", "delete", key["id"], "--yes").code == 0
    gone = on.run("source", "list", "--profile", "ci")
    assert (gone.code, "does not accept the API key of profile 'ci'" in gone.err) == (1, True)


def test_at_eighty_columns_nothing_is_cut(on: World) -> None:
    """A uid that is longer than the screen is folded, and every character of it is there."""
    done = on.at_a_terminal("endpoint", "list")
    assert done.code == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", done.out).splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert "…" not in done.out
    values = len("application") + 2
    assert LONG in "".join(line[values:].strip() for line in lines)
    for command in (
        ["source", "list"],
        ["source", "show", "main"],
        ["key", "list"],
        ["undelivered", "--limit", "3"],
        ["application", "list"],
        ["endpoint", "attempts", "crm", "live"],
    ):
        done = on.at_a_terminal(*command)
        assert done.code == 0, done.out
        assert "…" not in done.out
    bar = on.at_a_terminal("backfill", "main", "all", "--after-row-id", "0", "--endpoints", "none", "--dry-run")
    assert (bar.code, "━" in bar.out) == (0, True)


def test_the_workbench_saves_what_verify_reads(on: World) -> None:
    """A saved request verifies with its secret. A changed one says why not."""
    assert on.run("endpoint", "test", "crm", "live", "--wait", str(PATIENCE_S)).code in (0, 1)
    saved = sorted((on.folder / "saved").glob("*.http"))[0]
    good = on.run("verify", str(saved), "--at", "0", WEBHOOK_SECRET=SECRET)
    assert (good.code, good.out[:9]) == (0, "Verified:"), good
    bad = on.folder / "bad.http"
    bad.write_bytes(saved.read_bytes() + b"\n")
    done = on.run("verify", str(bad), "--at", "0", "--json", WEBHOOK_SECRET=SECRET)
    assert done.code == 1
    assert json.loads(done.out)["findings"][0]["part"] == "body"
    assert on.run("verify", str(bad)).code == 2


def test_doctor_asks_the_upstream_and_name_servers(on: World, tmp_path: Path) -> None:
    """With the credentials of each source, and without sending a callback. It says what to do."""
    wrong = {
        "sources": {
            "wrong": {
                "baseUrl": on.sandbox, "igrp": 1, "auth": {"type": "apiKey", "key": TOKEN}, "routes": ["all"],
                "paused": True,
            }
        }
    }  # fmt: skip
    (tmp_path / "wrong.yaml").write_text(json.dumps(wrong))
    assert on.run("apply", "-f", str(tmp_path / "wrong.yaml")).code == 0
    command = [sys.executable, "-m", "relay.cli.main", "doctor", "--json"]
    done = subprocess.run(command, env=on.env, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
    assert on.run("source", "delete", "wrong", "--yes").code == 0
    found = {each["area"]: each for each in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert (found["source main"]["state"], found["clock"]["state"]) == ("well", "well")
    assert "the credentials are accepted" in found["source main"]["text"]
    assert "refuses the credentials (401)" in found["source wrong"]["text"]
    assert "relay apply --secrets" in found["source wrong"]["do"]
    assert any(area.startswith("host hooks.slack.com:443 of ep_") or area == "egress" for area in found)
    assert TOKEN not in done.stdout + done.stderr


def test_where_no_relay_is_one_line_says_so(on: World) -> None:
    """Connection refused, no key, a wrong URL: exit codes 1 and 2, no traceback, and what to do."""
    nobody = on.run("source", "list", RELAY_API_URL="http://127.0.0.1:1", RELAY_API_KEY=KEY)
    assert (nobody.code, nobody.err.count("\n")) == (1, 1)
    assert "cannot connect to the relay at http://127.0.0.1:1" in nobody.err
    assert on.run("source", "list", RELAY_API_URL="ftp://x", RELAY_API_KEY=KEY).code == 2
    assert on.run("source", "list", RELAY_ADMIN_KEY="").code == 2
    sandbox = on.run("source", "list", RELAY_API_URL=on.sandbox, RELAY_API_KEY=KEY)
    assert sandbox.code == 1
    missing = on.run("source", "show", "nope")
    assert (missing.code, missing.err) == (1, "relay source: there is no source nope\n")

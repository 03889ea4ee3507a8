"""The image as its users build and run it: buildah builds it, podman runs it, locked down as the chart does."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAME = "localhost/infinity-event-relay:test"
BASE = os.environ.get("BASE", "docker.io/library/python:3.12-slim")
LOCKED_DOWN = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host",
    "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000",
)  # fmt: skip
BUILD_WITHIN_S, RUN_WITHIN_S = 900, 60


def needs() -> list[str]:
    """The programs that are missing on this machine."""
    return [program for program in ("buildah", "podman", "runc") if shutil.which(program) is None]


def build(folder: Path) -> None:
    """Build the image from the commit's files. `folder` is for files of the build's own."""
    args = ["--build-arg", f"BASE={BASE}", "--build-arg", "VERSION=0.1.0", "--build-arg", "REVISION=0123456"]
    command = ["buildah", "bud", "--isolation", "chroot", "--network", "host", "--format", "docker", "--layers", *args]
    done = subprocess.run(
        [*command, *_own_roots(folder), "-t", NAME, "."], cwd=ROOT, capture_output=True, text=True,
        timeout=BUILD_WITHIN_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def _own_roots(folder: Path) -> list[str]:
    """Where this machine's pip trusts roots of its own, the build does too."""
    roots = os.environ.get("PIP_CERT")
    if not roots:
        return []
    config = folder / "pip.conf"
    config.write_text("[global]\ncert = /etc/own-roots.pem\ntimeout = 180\n")
    return ["--volume", f"{config}:/etc/pip.conf:ro", "--volume", f"{roots}:/etc/own-roots.pem:ro"]


def inspect(image: str) -> dict[str, Any]:
    """What podman knows of an image."""
    found: list[dict[str, Any]] = json.loads(_podman("image", "inspect", image).stdout)
    return found[0]


def run(*command: str, entrypoint: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the image until it ends."""
    entry = [] if entrypoint is None else ["--entrypoint", entrypoint]
    return _podman("--runtime", "runc", "run", "--rm", *LOCKED_DOWN, *entry, NAME, *command, is_checked=False)


def service(name: str, env: dict[str, str], volumes: dict[Path, str]) -> list[str]:
    """The command line that runs `relay serve` or `relay worker` in the foreground."""
    given = [part for key, value in env.items() for part in ("--env", f"{key}={value}")]
    mounted = [part for path, at in volumes.items() for part in ("--volume", f"{path}:{at}")]
    return ["podman", "--runtime", "runc", "run", "--rm", *LOCKED_DOWN, *given, *mounted, NAME, name]


def _podman(*arguments: str, is_checked: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["podman", *arguments], capture_output=True, text=True, timeout=RUN_WITHIN_S, check=False
    )  # fmt: skip
    assert not is_checked or done.returncode == 0, done.stderr[-3000:]
    return done

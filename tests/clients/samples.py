"""The receivers of docs/receiving.md in languages that `make test` does not need: how each is installed and run."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.bench.processes import ChildFailed
from tests.clients.receiving import check, receiver

FOLDER = Path(__file__).parent / "receivers"
WITHIN_S = 300.0
"""To install what one receiver needs."""


class Sample(NamedTuple):
    """A receiver: the program that must be installed, what installs its packages, and what runs it.

    `{folder}` is its folder, `{port}` its port. If it has a `worker`, it processes events in a process of its own.
    """

    program: str
    folder: str
    install: tuple[str, ...]
    run: tuple[str, ...]
    worker: tuple[str, ...] = ()


NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
SAMPLES = {
    "receiver-javascript": Sample("node", "javascript", NPM, ("node", "{folder}/receiver.mjs")),
    "receiver-go": Sample("go", "go", ("go", "build", "-mod=readonly", "-o", "receiver", "."), ("{folder}/receiver",)),
    "receiver-java": Sample(
        "mvn",
        "java",
        ("mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies"),
        ("java", "-cp", "{folder}/target/dependency/*", "{folder}/Receiver.java"),
    ),
    "receiver-php": Sample(
        "composer",
        "php",
        ("composer", "install", "--no-interaction", "--quiet"),
        ("php", "-S", "127.0.0.1:{port}", "{folder}/receiver.php"),
        worker=("php", "{folder}/receiver.php"),
    ),
    "receiver-ruby": Sample(
        "bundle",
        "ruby",
        ("bundle", "install", "--quiet"),
        ("bundle", "exec", "--gemfile={folder}/Gemfile", "puma", "-b", "tcp://127.0.0.1:{port}", "{folder}/config.ru"),
    ),
    "receiver-csharp": Sample(
        "dotnet",
        "csharp",
        ("dotnet", "build", "--output", "build", "--verbosity", "quiet"),
        ("dotnet", "{folder}/build/receiver.dll", "--urls", "http://127.0.0.1:{port}"),
    ),
}


async def try_sample(sample: Sample) -> str:
    """Install, run and check a receiver; gives what was wrong, or an empty text."""
    source = FOLDER / sample.folder
    with tempfile.TemporaryDirectory(prefix="receiver-") as folder:
        if complaint := await _install(sample.install, source):
            return complaint
        command, worker = ([part.replace("{folder}", str(source)) for part in each] for each in sample[3:])
        try:
            async with receiver(command, Path(folder), worker=worker) as on:
                await check(on)
        except (AssertionError, ChildFailed) as error:
            logs = [log.read_text(errors="replace")[-2000:] for log in sorted(Path(folder).glob("*.log"))]
            return "\n".join([str(error), *logs])
    return ""


async def _install(command: tuple[str, ...], folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={**os.environ, "DOTNET_CLI_TELEMETRY_OPTOUT": "1"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    except TimeoutError:
        process.kill()
        return f"{' '.join(command)}: no end after {WITHIN_S:g} s"
    return f"{' '.join(command)}: {out.decode(errors='replace')[-4000:]}" if process.returncode else ""

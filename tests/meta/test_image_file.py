"""The file that the image is built from, and what the image leaves out."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys({packages!r}))
import workers.main, relay.cli.serve, relay.cli.worker, relay.cli.restore, relay.cli.sandbox
from relay.api.app import create_api
from relay.domain.addresses import EgressPolicy
from relay.domain.model import Secret
from relay.pipeline.clock import Clock
create_api(None, admin_key=Secret("k" * 16), policy=EgressPolicy(), clock=Clock())
"""


def test_hadolint_finds_nothing() -> None:
    """The Dockerfile follows the rules of hadolint."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_services_do_not_import_what_the_image_leaves_out() -> None:
    """Every service starts, and the API makes its document, without the packages that the Makefile calls UNSHIPPED."""
    listed = re.search(r"^UNSHIPPED := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert listed is not None
    packages = [name.replace("-", "_").replace("markdown_it_py", "markdown_it") for name in listed[1].split()]
    command = [sys.executable, "-c", PROGRAM.format(packages=packages)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

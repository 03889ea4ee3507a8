"""What is built carries what it needs, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_carries_every_script(tmp_path: Path) -> None:
    """Lua scripts travel with the code, the tests do not, and the licence is in it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    scripts = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("relay/**/*.lua")}
    assert scripts
    assert scripts <= set(names)
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"relay", "workers"}
    assert any(name.endswith("licenses/LICENSE") for name in names)

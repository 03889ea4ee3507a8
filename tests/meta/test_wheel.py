"""What is built carries what it needs, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_carries_every_file(tmp_path: Path) -> None:
    """Lua scripts, the API's viewer and the console's files travel with the code and its licence, and tests do not."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    files = [*ROOT.glob("relay/**/*.lua"), *ROOT.glob("relay/api/static/*")]
    files += [file for folder in ("static", "templates") for file in ROOT.glob(f"relay/console/{folder}/**/*.*")]
    assert {file.suffix for file in files} >= {".lua", ".gz", ".css", ".html"}
    assert {file.relative_to(ROOT).as_posix() for file in files} <= set(names)
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"relay", "workers"}
    assert any(name.endswith("licenses/LICENSE") for name in names)

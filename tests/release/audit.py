"""Known vulnerabilities of what is locked: `make audit` asks the database of OSV by pip-audit.

A vulnerability fails. If the database does not answer, or does not know a package, the last lines say that it was NOT
audited, and nothing fails.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOCKS = ("image", "build", "dev")
"""The lock files whose packages run somewhere: in the image, in its build, and in development."""
OSV = "https://api.osv.dev/v1/query"
UNAVAILABLE = re.compile(
    r"^(?:requests\.exceptions\.|urllib3\.exceptions\.|\S*ServiceError|\S*ConnectionError).*", re.M
)
WITHIN_S = 300


@dataclass(slots=True)
class Outcome:
    """What pip-audit found in one lock file."""

    vulnerable: list[str] = field(default_factory=list)
    unaudited: list[str] = field(default_factory=list)
    """Packages or causes, in words."""
    failure: str = ""
    """What pip-audit said when it failed for another reason."""


def outcome(code: int, out: str, err: str) -> Outcome:
    """Read what pip-audit printed. It ends with 1 for a vulnerability and for every failure."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError):
        causes = UNAVAILABLE.findall(err)
        return Outcome(unaudited=[causes[-1][:300]]) if causes else Outcome(failure=err or f"it ended with {code}")
    found = Outcome()
    for each in dependencies:
        if reason := each.get("skip_reason"):
            found.unaudited.append(reason)
        for known in each.get("vulns", []):
            fixed = ", ".join(known["fix_versions"]) or "no release"
            found.vulnerable.append(f"{each['name']} {each['version']}: {known['id']}, fixed in {fixed}")
    return found


def audit(lock: Path, osv: str = OSV) -> Outcome:
    """Audit one lock file."""
    command = [
        sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--disable-pip", "--require-hashes",
        "--format", "json", "--vulnerability-service", "osv", "--osv-url", osv, "--requirement", str(lock),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    return outcome(done.returncode, done.stdout, done.stderr)


def main() -> int:
    """Audit all lock files, or those that are named."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("locks", nargs="*", type=Path, default=[ROOT / f"requirements/{name}.txt" for name in LOCKS])
    parser.add_argument("--osv-url", default=OSV, help="where the database is (default: %(default)s)")
    args = parser.parse_args()
    return max([_report(lock, audit(lock, args.osv_url)) for lock in args.locks])


def _report(lock: Path, found: Outcome) -> int:
    for each in found.vulnerable:
        print(f"{lock.name}: {each}")
    if found.failure:
        print(f"{lock.name}: pip-audit failed:\n{found.failure}", file=sys.stderr)
    if found.unaudited:
        # The first words are a command of GitHub's runner, which shows the line with the result.
        mark = "::warning::" if os.environ.get("GITHUB_ACTIONS") else "WARNING: "
        print(f"{mark}{lock.name}: NOT audited: {'; '.join(found.unaudited)}")
    elif not (found.vulnerable or found.failure):
        print(f"{lock.name}: no known vulnerabilities")
    return 1 if found.vulnerable or found.failure else 0


if __name__ == "__main__":
    raise SystemExit(main())

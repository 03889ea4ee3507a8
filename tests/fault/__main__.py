"""`python -m tests.fault [--seed N] [--json] [--list] [CASE …]`: the long fault suite, one line for each finding."""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict

import uvloop

from tests.fault.case import Case, Finding, Skipped, load_cases


def main() -> int:
    """Run the cases; 1 when a finding does not hold or a case broke."""
    cases = load_cases()
    arguments = _arguments(cases)
    if arguments.list:
        for each in cases.values():
            print(f"{each.name:<24} {each.goal:<8} {each.seconds:>4} s  {each.says}")
        return 0
    chosen = [cases[name] for name in arguments.case or (each.name for each in cases.values() if not each.is_long)]
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 31)
    if not arguments.json:
        print(f"seed {seed}", flush=True)
    failed = sum([not uvloop.run(_run(each, seed, as_json=arguments.json)) for each in chosen])
    if not arguments.json:
        print(f"{len(chosen) - failed} of {len(chosen)} cases hold")
    return 1 if failed else 0


def _arguments(cases: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fault", description="The long fault suite.")
    parser.add_argument("case", nargs="*", metavar="CASE", help="cases to run (default: all but thousand-kills)")
    parser.add_argument("--seed", type=int, help="what is left to chance follows from it (default: chance)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--list", action="store_true", help="name the cases")
    arguments = parser.parse_args()
    if unknown := set(arguments.case) - set(cases):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; --list names them")
    return arguments


async def _run(case: Case, seed: int, *, as_json: bool) -> bool:
    began, holds = time.monotonic(), True
    try:
        async for finding in case.run(seed):
            holds = holds and finding.holds
            _say(case, seed, finding, as_json=as_json)
    except Skipped as reason:
        _tell(case, seed, "skipped", str(reason), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - whatever broke a case must not end the others
        _tell(case, seed, "BROKE", f"{type(error).__name__}: {error}", as_json=as_json)
        return False
    if not as_json:
        print(f"{'':<24} {'':<6} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return holds


def _say(case: Case, seed: int, finding: Finding, *, as_json: bool) -> None:
    if as_json:
        about = {"case": case.name, "goal": case.goal, "seed": seed, "ok": finding.holds}
        print(json.dumps(about | asdict(finding)), flush=True)
        return
    unit = f" {finding.unit}" if finding.unit else ""
    measured = f"{finding.value:.4g}{unit} {finding.compare} {finding.limit:g}{unit}"
    note = f"  ({finding.note})" if finding.note else ""
    verdict = "ok" if finding.holds else "FAILED"
    print(f"{case.name:<24} {case.goal:<6} {verdict:<6} {finding.what}: {measured}{note}", flush=True)


def _tell(case: Case, seed: int, what: str, why: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"case": case.name, "goal": case.goal, "seed": seed, "ok": what == "skipped", what: why}))
    else:
        print(f"{case.name:<24} {case.goal:<6} {what:<6} {why}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

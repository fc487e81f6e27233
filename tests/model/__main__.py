"""`python -m tests.model`: explores the protocol as built, or shows a counterexample."""

from __future__ import annotations

import argparse

from tests.model import report
from tests.model.explore import explore
from tests.model.scenarios import DEEP, GOOD, WRONG, Case


def main() -> int:
    """Status 1 where the protocol as built is wrong, or a wrong one passes."""
    arguments = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    arguments.add_argument("--deep", action="store_true", help="larger worlds: minutes, gigabytes")
    arguments.add_argument("--only", metavar="NAME", help="one world")
    arguments.add_argument("--wrong", metavar="NAME", help="one wrong rule; `all` for all of them")
    asked = arguments.parse_args()
    group: dict[str, Case] = DEEP if asked.deep else WRONG if asked.wrong else GOOD
    name = asked.only or asked.wrong
    if name not in (None, "all", *group):
        arguments.error(f"{name!r} is none of: {', '.join(group)}")
    bad = 0
    total, seconds = 0, 0.0
    for each in group if name in (None, "all") else (name,):
        found = explore(*group[each])
        total, seconds = total + found.states, seconds + found.seconds
        bad += (found.violation is None) == bool(asked.wrong)
        print(f"{each}: {report.told(found)}", flush=True)
    print(f"{total:,} states in {seconds:.1f} s, {bad} not as it should be")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())

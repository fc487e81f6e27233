"""`python -m playground.demo_needs`: whether this machine has what the playground needs.

Says all that is missing at once, before anything is started. Maven is needed once, to fetch the
jars of Elasticsearch.
"""

from __future__ import annotations

import shutil
import sys

from playground import blueprint
from playground.java import find_jdk
from playground.layout import is_laid_out
from playground.search import DEFAULT
from playground.system import PlaygroundError


def missing() -> list[str]:
    """One line for each thing that is missing, and the packages that bring it on Debian."""
    plan = blueprint.load(DEFAULT)
    lines = []
    try:
        find_jdk(plan.java)
    except PlaygroundError as error:
        lines.append(str(error))
    if not is_laid_out(plan) and shutil.which("mvn") is None:
        lines.append(
            "Maven was not found: install it, on Debian and Ubuntu with `apt-get install maven`, "
            "on macOS with `brew install maven`"
        )
    return lines


def main() -> int:
    """Print what is missing; 0 when nothing is."""
    lines = missing()
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

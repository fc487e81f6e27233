"""`python -m playground.demo_setup`: what `make demo` and `make test` need besides Python packages.
With `--others`: the search servers that only some tests need.

Looks for a JDK and Maven and says at once all that is missing. Fetches and lays out Elasticsearch,
which takes a minute or two the first time and nothing later.
"""

from __future__ import annotations

import shutil
import sys

from playground import blueprint
from playground.java import find_jdk
from playground.layout import is_laid_out, server_home
from playground.search import DEFAULT
from playground.system import PlaygroundError


def missing() -> list[str]:
    """One line for each thing that is missing, with the package that brings it."""
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


def fetch_others() -> int:
    """All search servers but the usual one: 0 when they are there, 1 where one cannot be had."""
    try:
        for name in blueprint.names():
            if name != DEFAULT:
                server_home(blueprint.load(name))
    except PlaygroundError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Prepare; 0 when all is there, 1 when something is missing or fails."""
    try:
        lines = missing()
        plan = blueprint.load(DEFAULT)
        if not lines and not is_laid_out(plan):
            print(
                f"fetching {plan.product} {plan.version} from Maven Central, this once: "
                "a minute or two",
                flush=True,
            )
            server_home(plan)
    except PlaygroundError as error:
        lines = [str(error)]
    except KeyboardInterrupt:
        return 130
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(fetch_others() if "--others" in sys.argv[1:] else main())

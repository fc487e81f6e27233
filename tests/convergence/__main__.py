"""The convergence suite for longer, with another seed each time, and the replay of a failure.

`python -m tests.convergence run --minutes 10`: all schemas and modes in turn until the time is
over; ends with one line, and with status 1 at the first divergence.
`python -m tests.convergence replay FILE`: the steps of a history, exactly these.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.search import SearchServer
from tests.convergence.example import Run
from tests.convergence.history import History
from tests.convergence.machine import run_examples
from tests.convergence.servers import Servers, open_servers
from tests.convergence.world import open_world
from tests.kit.servers import QUICK
from tests.kit.writes.vocabulary import VOCABULARY

MODES = ("rows", "doorbell", "off")


@contextlib.contextmanager
def _servers() -> Iterator[Servers]:
    search = SearchServer("es8", jvm_options=QUICK)
    with search, open_servers(search) as servers:
        yield servers


def _run(options: argparse.Namespace) -> int:
    first = options.seed if options.seed is not None else secrets.randbelow(2**31)
    began = time.monotonic()
    until = began + 60 * options.minutes
    print(f"seed {first}; the same again: --seed {first}", flush=True)
    steps: Counter[str] = Counter()
    examples = 0
    combinations = itertools.cycle(
        (kind, mode) for mode in options.mode or MODES for kind in options.schema or VOCABULARY
    )
    with tempfile.TemporaryDirectory() as folder, _servers() as servers:
        for number, (kind, mode) in enumerate(combinations):
            if time.monotonic() > until or (options.rounds and number >= options.rounds):
                break
            run = Run(
                servers,
                kind,
                mode,
                first + number,
                Path(folder),
                patient=not options.quick,
                until=until,
            )
            try:
                run_examples(run, examples=options.examples, steps=options.steps)
            except (AssertionError, pytest.fail.Exception) as error:
                print(f"{error}\n\ndiverged: {kind} {mode}, seed {first + number}")
                return 1
            examples += run.examples
            steps.update(run.steps)
            minutes = (time.monotonic() - began) / 60
            print(f"{minutes:5.1f} min: {kind} {mode}: {run.examples} examples", flush=True)
    if options.told:
        print("\n".join(f"{count:6} {name}" for name, count in sorted(steps.items())))
    settled = steps["settle"]
    print(
        f"{examples} examples, {sum(steps.values())} steps, {settled} settle points, "
        f"0 divergences (seed {first})"
    )
    return 0


def _replay(options: argparse.Namespace) -> int:
    content = json.loads(Path(options.file).read_text("utf-8"))
    scenario = content["scenario"]
    with tempfile.TemporaryDirectory() as folder, _servers() as servers:
        for number in range(options.times):
            again = Path(options.file).with_suffix(".again.json")
            history = History(again, scenario)
            with open_world(servers, scenario, Path(folder) / str(number)) as world:
                try:
                    for step in content["steps"]:
                        history.add(step)
                        world.do(step)
                except (Exception, pytest.fail.Exception) as error:
                    print(history.fail(error))
                    print(f"failed again, at the {number + 1}. time")
                    return 1
            again.unlink()
            print(f"{number + 1}: index = query", flush=True)
    return 0


def main() -> int:
    """Read the arguments; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.convergence", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="random examples until the time is over")
    run.add_argument("--minutes", type=float, default=10)
    run.add_argument("--seed", type=int, help="of the first combination; the next ones count up")
    run.add_argument("--examples", type=int, default=4, help="of each combination in turn")
    run.add_argument("--steps", type=int, default=40, help="of an example")
    run.add_argument("--rounds", type=int, default=0, help="most combinations (0: any number)")
    run.add_argument("--schema", choices=list(VOCABULARY), action="append")
    run.add_argument("--mode", choices=MODES, action="append")
    run.add_argument("--quick", action="store_true", help="no faults that take seconds")
    run.add_argument("--told", action="store_true", help="how often each step was done")
    run.set_defaults(work=_run)
    replay = commands.add_parser("replay", help="the steps of a history")
    replay.add_argument("file")
    replay.add_argument("--times", type=int, default=1, help="until it fails, at most so often")
    replay.set_defaults(work=_replay)
    options = parser.parse_args()
    return int(options.work(options))


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.soak`: chaos for some minutes, on servers of its own."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from playground.places import cache_directory
from tests.kit.chaos.vocabulary import FAULTS
from tests.soak import changed_files, definitions
from tests.soak.run import Run
from tests.soak.settle import PATIENCE
from tests.soak.stage import open_stage
from tests.soak.truncation import TRUNCATED

_OWN = (TRUNCATED, *definitions.FAULTS, *changed_files.FAULTS)
KINDS = {**FAULTS, **{one.name: one for one in _OWN}}
"""All faults of a run."""
_GRACE = 300
"""Seconds beyond its time after which a run is ended by force."""

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: index = query at every settle point. 1: it was not, or something else broke. 2: usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(KINDS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = {name: replace(KINDS[name], rare=False) for name in options.only}
    if not 0 < options.minutes <= 24 * 60:
        parser.error("--minutes: above 0, and a day at most")
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = options.keep or cache_directory() / "soak" / f"{moment}-seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"soak: {options.minutes:g} minutes, seed {seed} (again: python -m tests.soak "
        f"--minutes {options.minutes:g} --seed {seed}), {folder}",
        flush=True,
    )
    status = 1
    with _Bounded(options.minutes * 60 + options.patience + _GRACE):
        try:
            with open_stage(folder, seed, writers=options.writers, pace=options.pace) as stage:
                run = Run(
                    stage, seed, options.minutes * 60, chosen or KINDS, patience=options.patience
                )
                status = run.go()
                line = run.line
        except KeyboardInterrupt as error:
            print(f"soak: ended by {error or 'Ctrl-C'}", file=sys.stderr)
            return 1
    print(line)
    if status == 0 and not options.keep:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}", file=sys.stderr)
    return status


class _Bounded(contextlib.AbstractContextManager[None]):
    """SIGTERM, and the end of the time, are as Ctrl-C: everything that was started ends."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        for number in _ENDS:
            signal.signal(number, _end)
        signal.alarm(int(self._seconds))

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)


def _end(number: int, _frame: FrameType | None) -> None:
    for each in _ENDS:  # once: nothing interrupts the end of what was started
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, help="of faults and writes (default: a random one)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="KIND", help=f"of {', '.join(KINDS)}"
    )
    parser.add_argument("--writers", type=int, default=8, choices=range(1, 9), metavar="1-8")
    parser.add_argument("--pace", type=float, default=0.03, help="seconds between two of a writer")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help=f"seconds until a difference is a divergence ({PATIENCE:g}; more on a busy machine)",
    )
    parser.add_argument("--keep", type=Path, help="folder that is kept whatever happens")
    return parser


if __name__ == "__main__":
    sys.exit(main())

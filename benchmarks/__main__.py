"""`python -m benchmarks [NAME ...]`: run scenarios on real servers and write what they show.

Results go to results.json, a plot a scenario and a Markdown table; scenarios that were not run keep
what stands there. The exit status is 0 when all that ran reached its goals, 1 when a goal was
missed (in a quick run none counts), 2 when a scenario failed or nothing could be run, 130 and 143
when it was stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import machine, report
from benchmarks.scenarios import SCENARIOS
from benchmarks.stage import Stage, stage_of
from playground.daemon import PROJECT
from playground.system import FileLock, PlaygroundError

_DOCS: Final = Path("docs", "benchmarks")
_QUICK: Final = Path(".playground", "benchmarks")


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="scenarios:\n"
        + "\n".join(f"  {one.name:<12} {one.title}" for one in SCENARIOS.values()),
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="scenarios to run; all where none is named"
    )
    parser.add_argument(
        "--quick", action="store_true", help="under three minutes; says whether it works, not more"
    )
    parser.add_argument("--rounds", type=int, help="alternations with the floor (5; quick: 1)")
    parser.add_argument(
        "--output", type=Path, help=f"folder for the results ({_DOCS}; quick: {_QUICK})"
    )
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in SCENARIOS:
            parser.error(f"no scenario {name!r}: there are {', '.join(SCENARIOS)}")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: at least 1")
    given.rounds = given.rounds or (1 if given.quick else 5)
    given.output = given.output or PROJECT / (_QUICK if given.quick else _DOCS)
    return given


def _run(stage: Stage, name: str) -> dict[str, Any] | None:
    """The scenario's entry of results.json; None where it failed."""
    scenario = SCENARIOS[name]
    print(f"{name}: {scenario.title}", flush=True)
    began, at, load = time.monotonic(), datetime.now(UTC), machine.load()
    try:
        result = scenario.run(stage)
    except Exception:  # whatever it is, the others go on
        traceback.print_exc()
        print(f"{name}: failed", flush=True)
        return None
    seconds = time.monotonic() - began
    for figure in result.figures:
        print(f"  {report.line(figure)}", flush=True)
    print(f"  ({seconds:.0f} s)", flush=True)
    return {
        "title": scenario.title,
        "at": at.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "rounds": stage.rounds,
        "quick": stage.quick,
        "load_before": load,
        "machine": machine.describe(stage),
        **result.as_json(),
    }


class OutputError(Exception):
    """The results cannot be kept; the message says where and why."""


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Look whether results can be written there, since an hour later would be too late, and keep
    other benchmarks from it. Raises OutputError.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output):
            pass
    except OSError as error:
        raise OutputError(
            f"{error.filename or output}: {error.strerror}: name a folder that may "
            "be written with --output"
        ) from error
    key = hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:12]
    lock = FileLock(Path(tempfile.gettempdir(), f"listener-bench-{key}.lock"))
    if not lock.acquire(wait=False):
        raise OutputError(
            f"another benchmark writes to {output}: wait for its end, since each would also "
            "measure the other"
        )
    try:
        yield
    finally:
        lock.release()


def _earlier(output: Path) -> dict[str, Any]:
    """The results that stand there. Raises OutputError where they are none of this version."""
    file = output / "results.json"
    try:
        found = json.loads(file.read_text("utf-8")) if file.exists() else {}
    except OSError as error:
        raise OutputError(f"{file}: {error.strerror}: name another folder with --output") from error
    except ValueError as error:
        raise OutputError(
            f"{file} is no JSON ({error}): remove it, or name another folder with --output"
        ) from error
    if not isinstance(found, dict):
        raise OutputError(f"{file} is not of this program: remove it, or use --output")
    for name, entry in found.items():
        try:
            report.markdown({name: entry})
        except Exception as error:
            raise OutputError(
                f"{file}: {name!r} is no result of this version ({type(error).__name__}: {error}): "
                "remove it there, or name another folder with --output"
            ) from error
    return found


def _replace(file: Path, text: str) -> None:
    """Write it whole or not at all."""
    temporary = file.with_suffix(".part")
    temporary.write_text(text, "utf-8")
    temporary.replace(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; see the module's docstring for the exit status. Raises OutputError."""
    given = _arguments(arguments)
    names = [name for name in SCENARIOS if not given.names or name in given.names]
    file = given.output / "results.json"
    failed, missed = [], []
    machine.commit()  # kept, before our own results make the checkout dirty
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(given.output))
        results = _earlier(given.output)
        stage = stack.enter_context(stage_of(quick=given.quick, rounds=given.rounds))
        for name in names:
            found = _run(stage, name)
            if found is None:
                failed.append(name)
                continue
            missed += [one["name"] for one in found["figures"] if one["met"] is False]
            results[name] = found
            ordered = {one: results[one] for one in SCENARIOS if one in results}
            _replace(file, json.dumps(ordered, indent=1) + "\n")
            SCENARIOS[name].plot(found, given.output / f"{name}.png")
            _replace(given.output / "README.md", report.markdown(ordered))
    print(f"{file.parent}: results.json, README.md and plots")
    counts = " (a quick run: it does not count)" if given.quick else ""
    for name in missed:
        print(f"goal missed: {name}{counts}")
    for name in failed:
        print(f"failed: {name}")
    if failed:
        return 2
    return 1 if missed and not given.quick else 0


def _terminated(number: int, _frame: object) -> None:
    """Servers, daemons and their folders go as at any other end."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(main())
    except (PlaygroundError, OutputError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("benchmarks: stopped; scenarios that had ended are kept", file=sys.stderr)
        sys.exit(130)

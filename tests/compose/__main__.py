"""`python -m tests.compose`: the compose file on a real Docker engine, as a user would run it.

Uses the engine that is reachable; without one, starts an engine of its own (as root, with Debian's
packages) and makes stand-ins for the images that cannot be pulled. Kibana is left out: nothing
stands in for it. Exit status 0 means that every step passed.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator

from playground.system import PlaygroundError
from tests.compose.deployment import SERVICES, Deployment
from tests.compose.engine import CommandError, Engine, docker_engine, install_missing
from tests.compose.images import make_stand_ins
from tests.compose.scenario import StepFailed, steps


def main() -> int:
    """Runs all steps and prints what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument(
        "--stand-ins",
        action="store_true",
        help="make stand-ins also in an engine that was there (for images that it lacks)",
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that all is cleaned up
    began = time.monotonic()
    try:
        with docker_engine() as engine:
            lines = _run(engine, stand_ins=engine.own or arguments.stand_ins)
    except (CommandError, StepFailed, PlaygroundError) as error:
        print(f"compose-test FAILED: {error}", file=sys.stderr)
        return 1
    width = max(len(name) for name, _ in lines)
    print()
    for name, value in lines:
        print(f"  {name:<{width}}  {value}")
    print(f"\ncompose-test passed in {time.monotonic() - began:.0f} s")
    return 0


def _run(engine: Engine, *, stand_ins: bool) -> list[tuple[str, str]]:
    deployment = Deployment(engine)
    names = {
        "python": deployment.settings["PYTHON_IMAGE"],
        "postgres": deployment.settings["POSTGRES_IMAGE"],
        "elasticsearch": deployment.settings["ELASTICSEARCH_IMAGE"],
    }
    made: list[str] = []
    if stand_ins:
        install_missing()
        # In somebody else's engine real images win, and ours do not stay under their names.
        wanted = (
            names if engine.own else {k: v for k, v in names.items() if not engine.has_image(v)}
        )
        made = make_stand_ins(engine, wanted)
    lines = [("engine", "started by the test" if engine.own else "the one that was there")]
    lines.append(("stand-ins for", ", ".join(made) or "none"))
    try:
        with _cleared(deployment):
            for step in steps():
                print(f"{step.__name__}: {(step.__doc__ or '').splitlines()[0]}", flush=True)
                lines += step(deployment)
    finally:
        if not engine.own:
            for name in made:
                engine.docker("image", "rm", name)
    return lines


@contextlib.contextmanager
def _cleared(deployment: Deployment) -> Iterator[None]:
    """Nothing of an earlier run at the beginning, nothing of this one at the end."""
    deployment.down(volumes=True)
    try:
        yield
    except (CommandError, StepFailed):
        for service in SERVICES:
            with contextlib.suppress(CommandError):
                print(f"--- {service}\n{deployment.log(service)}", file=sys.stderr)
        raise
    finally:
        deployment.down(volumes=True)
        with contextlib.suppress(CommandError):
            deployment.engine.docker("image", "rm", deployment.image)


if __name__ == "__main__":
    sys.exit(main())

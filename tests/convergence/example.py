"""One example: a world that is made, changed step by step, and settled at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from tests.convergence.history import FOLDER, History
from tests.convergence.servers import Servers
from tests.convergence.world import Step, World, open_world


@dataclass
class Run:
    """What the examples of one test share."""

    servers: Servers
    kind: str
    mode: str
    seed: int | None
    """None: the same examples in every run."""
    folder: Path
    patient: bool = False
    """Also the faults of tests/kit/chaos and what takes long."""
    until: float | None = None
    """No example begins after this moment of time.monotonic()."""
    examples: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    """How often each kind of step was done."""
    failed: tuple[list[Step], BaseException] | None = None
    """After which steps, and with what."""


class Example(RuleBasedStateMachine):
    """Does steps, and remembers them. After a failure, and when the time is over, examples are
    dry: they are drawn, and nothing is done."""

    run: Run

    def __init__(self) -> None:
        super().__init__()
        self.scenario: Step = {}
        """What the world is made of; set before the first step."""
        self.unsettled = 0
        """Steps since index = query was seen."""
        run = self.run
        self.dry = run.failed is not None or (
            run.until is not None and time.monotonic() > run.until
        )
        self._steps: list[Step] = []
        self._world: World | None = None
        self._opened: Any = None
        self._history: History | None = None

    def do(self, do: str, **values: Any) -> None:
        """The next step. Raises AssertionError with the history where the promise is broken."""
        run = self.run
        step: Step = {"do": do, **values}
        if not self._steps and not self.dry:
            self._guarded(self._begin)
        self._steps.append(step)
        self.unsettled = 0 if do == "settle" else self.unsettled + 1
        if run.failed is not None and run.failed[0] == self._steps:
            raise run.failed[1]
        if self.dry:
            return
        assert self._history is not None
        assert self._world is not None
        name = f"{do} {values.get('name', '')}".strip()
        run.steps[name] = run.steps.get(name, 0) + 1
        self._history.add(step)
        world = self._world
        self._guarded(lambda: world.do(step))

    def _begin(self) -> None:
        """Only now: Hypothesis gives some examples up before their first step."""
        run = self.run
        run.examples += 1
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{run.kind}-{run.mode}-{run.examples}"
        self._history = History(FOLDER / f"{name}.json", self.scenario)
        self._opened = open_world(run.servers, self.scenario, run.folder / name)
        self._world = self._opened.__enter__()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            assert self._history is not None
            failure = AssertionError(self._history.fail(error))
            self.run.failed = list(self._steps), failure
            self.dry = True
            raise failure from error

    def teardown(self) -> None:
        """Index = query at the end of each example."""
        try:
            broken_off = sys.exc_info()[0] is not None  # by a failure, or by Hypothesis
            if not broken_off and self.unsettled:
                self.do("settle", seed=0)
        finally:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.__exit__(None, None, None)
        if self._history is not None and self.run.failed is None:
            self._history.path.unlink(missing_ok=True)

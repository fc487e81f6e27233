"""A run: faults one after another, settle points between them, and one line at the end."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg
import pytest

from playground.convergence import Differences
from playground.system import PlaygroundError
from tests.kit.chaos.fault import Fault
from tests.kit.chaos.operations import set_notify
from tests.kit.chaos.world import Interrupted, NotInTime
from tests.soak.keep import keep
from tests.soak.plan import Step, plan
from tests.soak.settle import PATIENCE, Broken, Diverged, Settled, settle
from tests.soak.stage import Stage

_FAULTS_A_MINUTE = 4
_PHASES = 12
"""The modes of `notify` change so often; each comes four times."""
_LONGEST = 180.0
"""Seconds in which every fault has healed."""


class Run:
    """One run on a stage. `seconds` after its begin no further fault is begun."""

    def __init__(
        self,
        stage: Stage,
        seed: int,
        seconds: float,
        kinds: Mapping[str, Fault],
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._stage = stage
        self._seed = seed
        self._seconds = seconds
        self._kinds = kinds
        self._patience = patience
        self._began = time.monotonic()
        self._history = stage.folder / "history.txt"
        stage.world.tell = self._note
        self.faults: Counter[str] = Counter()
        self.disturbed = 0
        self.settled: list[Settled] = []
        self.divergences = 0

    def go(self) -> int:
        """The exit status: 0, or 1 when something was not as promised, which is then kept."""
        try:
            self._follow()
        except Interrupted:
            self._say("interrupted")
            return 1
        except Diverged as error:
            self.divergences += 1
            self._fail(str(error), error.found)
            return 1
        except (Exception, pytest.fail.Exception):  # whatever it is, what led to it is kept
            self._fail(traceback.format_exc(), None)
            return 1
        return 0

    @property
    def line(self) -> str:
        """The one line at the end."""
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        writers, world = self._stage.writers, self._stage.world
        memory = max(seat.most_memory for seat in world.seats) >> 20
        slowest = max((one.seconds for one in self.settled), default=0)
        return (
            f"soak, seed {self._seed}, {(time.monotonic() - self._began) / 60:.1f} minutes: "
            f"{writers.committed} transactions with {writers.rows} writes; "
            f"{self.faults.total()} faults of {len(self.faults)} kinds ({kinds}), "
            f"{self.disturbed} of them cut short by another; "
            f"{len(self.settled)} settle points, the slowest {slowest:.1f} s, "
            f"{sum(one.guarded for one in self.settled)} with deletes to be allowed; "
            f"daemons at most {memory} MB; {self.divergences} divergences"
        )

    # -- the run ---------------------------------------------------------------------------------

    def _follow(self) -> None:
        world = self._stage.world
        a_phase = max(6, round(self._seconds / 60 * _FAULTS_A_MINUTE / _PHASES))
        steps = plan(self._seed, self._kinds, a_phase)
        step = next(steps)
        assert step.notify is not None
        self._switch(step.notify)
        self._stage.writers.start()
        self._settle(max(self._patience, PATIENCE))  # the daemons start: their indexes are loaded
        while True:
            self._take(step)
            if step.settle:
                self._settle()
            if time.monotonic() - self._began > self._seconds:
                break
            step = next(steps)
            if step.notify is not None:
                self._settle()
                self._switch(step.notify)
            world.rest(step.pause)
        if not step.settle:
            self._settle()

    def _switch(self, mode: str) -> None:
        options = self._stage.world.scene.options
        tables = {watch["table"] for one in options["documents"] for watch in one["watch"]}
        self._say(f"notify: {mode}")
        set_notify(self._stage.world, dict.fromkeys(tables, mode))

    def _take(self, step: Step) -> None:
        """One fault, or two at once, each in a thread; returns when they have healed."""
        began = time.monotonic()
        self._say(f"step {step.number}: {step.names} ...")
        errors: list[tuple[Fault, BaseException]] = []

        def run(place: int, fault: Fault) -> None:
            try:
                fault.run(self._stage.world, step.choice(self._seed, place))
            except BaseException as error:
                errors.append((fault, error))

        threads = []
        for place, fault in enumerate(step.faults):
            if place:
                self._stage.world.rest(step.lead)
            thread = threading.Thread(target=run, args=(place, fault), name=fault.name, daemon=True)
            thread.start()
            threads.append(thread)
            self.faults[fault.name] += 1
        until = time.monotonic() + _LONGEST
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # short: signals are handled between two looks
                if time.monotonic() > until:
                    raise NotInTime(f"{thread.name} has not healed within {_LONGEST:g} s")
        self._judge(step, errors)
        if errors:  # what was cut short may be half mended
            self._stage.world.heal()
        self._say(f"step {step.number}: {step.names}: {time.monotonic() - began:.1f} s")

    def _judge(self, step: Step, errors: list[tuple[Fault, BaseException]]) -> None:
        """A fault that met another one may fail: what it broke is healed at the settle point."""
        for fault, error in errors:
            told = "".join(traceback.format_exception(error))
            if isinstance(error, Interrupted):
                raise error
            if len(step.faults) == 1 or not isinstance(
                error, (OSError, psycopg.Error, NotInTime, PlaygroundError)
            ):
                raise Broken(f"the fault {fault.name} failed: {told}")
            self.disturbed += 1
            self._note(f"{fault.name} was disturbed: {told}")

    def _settle(self, patience: float | None = None) -> None:
        settled = settle(self._stage, self._patience if patience is None else patience)
        self.settled.append(settled)
        writers = self._stage.writers
        self._say(
            f"settle point {len(self.settled)}: index = query after {settled.seconds:.1f} s"
            f"{', deletes allowed' if settled.guarded else ''}; {writers.committed} transactions"
        )

    # -- what is told ----------------------------------------------------------------------------

    def _fail(self, why: str, found: Differences | None) -> None:
        self._say(f"FAILED: {why}")
        keep(self._stage, found, f"{why}\n\n{self._stage.writers.told}")

    def _say(self, text: str) -> None:
        minutes = (time.monotonic() - self._began) / 60
        print(f"{minutes:5.1f} min  {self.faults.total():3} faults  {text}", flush=True)
        self._note(text)

    def _note(self, text: str) -> None:
        with self._history.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")

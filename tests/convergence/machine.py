"""The state machine: it draws steps, of which nobody knows beforehand whether they are harmless.

The model is small: which slices have an open writer, and who holds the watermark. It does not
depend on what the servers do, so that an example that failed can be drawn once more without doing
anything: Hypothesis repeats a failure before it reports it, and each real repetition costs a
minute. For the same reason nothing is shrunk: the history is the report, and it can be replayed.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.chaos.vocabulary import FAULTS
from tests.convergence.faults import GROUPS
from tests.convergence.history import FOLDER, History
from tests.convergence.servers import Servers
from tests.convergence.sessions import SAVED, WHO
from tests.convergence.statements import SLICES
from tests.convergence.world import STOP, Step, World, open_world
from tests.convergence.writes import VOCABULARY

_SMALL: Final = {"pending_limit": 20, "batch_documents": 7, "page_size": 40}
"""Everything overflows, and is done in many parts."""
_CHAOS_LEFT_OUT: Final = {
    "failover": "no standby",
    "big_statement": "the floods are our own",
    "notify_changed": "the mode is the example's",
    "state_unwritable": "whoever starts meanwhile ends, and says why",
    "search_killed": "the server is everybody's",
    "index_deleted": "see below",
}
_STANDING_LEFT_OUT: Final = {
    "lose_index": "an index lost while a request is unanswered holds until a restart",
}


def _group(name: str, *more: str) -> st.SearchStrategy[str]:
    names = {run.__name__ for run in GROUPS[name]} - {*_STANDING_LEFT_OUT}
    return st.sampled_from(sorted({*names, *more}))


_SEEDS: Final = st.integers(0, 2**32 - 1)


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
    """Also the faults of tests/chaos and what takes long."""
    until: float | None = None
    """No example begins after this moment of time.monotonic()."""
    examples: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    """How often each kind of step was done."""
    failed: tuple[list[Step], BaseException] | None = None
    """After which steps, and with what."""


class Machine(RuleBasedStateMachine):
    """One example."""

    run: Run

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, bool] = {}
        """Slices with an open writer, and whether it is prepared."""
        self._holders: list[int] = []
        self._numbers = itertools.count()
        self._steps: list[Step] = []
        self._scenario: Step = {}
        self._world: World | None = None
        self._opened: Any = None
        self._history: History | None = None
        self._settled = True
        run = self.run
        self._dry = run.failed is not None or (
            run.until is not None and time.monotonic() > run.until
        )

    # -- doing -----------------------------------------------------------------------------------

    def _do(self, do: str, **values: Any) -> None:
        run = self.run
        step: Step = {"do": do, **values}
        if not self._steps and not self._dry:
            self._guarded(self._begin)
        self._steps.append(step)
        self._settled = do == "settle"
        if run.failed is not None and run.failed[0] == self._steps:
            raise run.failed[1]
        if self._dry:
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
        self._history = History(FOLDER / f"{name}.json", self._scenario)
        self._opened = open_world(run.servers, self._scenario, run.folder / name)
        self._world = self._opened.__enter__()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            assert self._history is not None
            failure = AssertionError(self._history.fail(error))
            self.run.failed = list(self._steps), failure
            self._dry = True
            raise failure from error

    def _writes(self, data: Any, *, least: int = 1, alone: bool = False) -> list[Any]:
        """Names of writes, their seeds, and savepoints."""
        vocabulary = VOCABULARY[self.run.kind]
        names = [one.name for one in vocabulary.values() if not one.alone and not one.rare]
        if alone:
            # with batches of seven a flood takes minutes
            small = "batch_documents" in self._scenario["options"]
            names = [
                one.name for one in vocabulary.values() if one.alone or (one.rare and not small)
            ]
        part = st.tuples(st.sampled_from(names), _SEEDS, st.sampled_from(SAVED)).map(list)
        drawn: list[Any] = data.draw(st.lists(part, min_size=least, max_size=1 if alone else 4))
        return drawn

    def _free(self, which: int) -> int:
        free = [number for number in range(SLICES) if number not in self._open]
        return free[which % len(free)]

    def _opened_one(self, which: int) -> int:
        return sorted(self._open)[which % len(self._open)]

    # -- rules -----------------------------------------------------------------------------------

    @initialize(
        earnest=st.integers(0, 255),
        daemons=st.sampled_from([1, 1, 2]),
        small=st.booleans(),
        overlap=st.sampled_from([0.0, 2.0]),
        loaded=st.sampled_from([True, True, False]),
    )
    def begin(self, earnest: int, daemons: int, small: bool, overlap: float, loaded: bool) -> None:
        """A world; its daemons are through with the first load, or not yet."""
        run = self.run
        self._dry |= not earnest  # the simplest example comes first, and tells nothing
        self._scenario = {
            "kind": run.kind,
            "mode": run.mode,
            "daemons": daemons,
            "options": {"overlap": overlap, **(_SMALL if small else {})},
            "seed": run.seed,
        }
        if loaded:
            self._do("breathe", event="caught_up", seconds=20)

    @rule(data=st.data(), which=_SEEDS, who=st.sampled_from(WHO),
          end=st.sampled_from(["commit", "commit", "each", "each", "rollback"]))  # fmt: skip
    @precondition(lambda self: len(self._open) < SLICES)
    def transaction(self, data: Any, which: int, who: str, end: str) -> None:
        """Writes that are over at once."""
        self._do(
            "transaction", slice=self._free(which), who=who, end=end, writes=self._writes(data)
        )

    @rule(data=st.data(), which=_SEEDS, who=st.sampled_from(WHO))
    @precondition(lambda self: len(self._open) < SLICES)
    def more(self, data: Any, which: int, who: str) -> None:
        """The same: most of what happens is writes."""
        self.transaction(data, which, who, "commit")

    @rule(data=st.data(), which=_SEEDS, end=st.sampled_from(["commit", "rollback", "each"]))
    @precondition(lambda self: not self._open)
    def alone(self, data: Any, which: int, end: str) -> None:
        """TRUNCATE, and statements of more than 10,000 rows."""
        writes = self._writes(data, alone=True)
        self._do("transaction", slice=which % SLICES, who="application", end=end, writes=writes)

    @rule(data=st.data(), which=_SEEDS, who=st.sampled_from(WHO))
    @precondition(lambda self: len(self._open) < SLICES - 2)
    def open_writer(self, data: Any, which: int, who: str) -> None:
        """Somebody writes, and commits late."""
        slice_ = self._free(which)
        self._do("open", slice=slice_, who=who, writes=self._writes(data))
        self._open[slice_] = False

    @rule(data=st.data(), which=_SEEDS)
    @precondition(lambda self: not all(self._open.values()))
    def write(self, data: Any, which: int) -> None:
        """An open writer goes on."""
        going_on = sorted(number for number, prepared in self._open.items() if not prepared)
        slice_ = going_on[which % len(going_on)]
        self._do("write", slice=slice_, writes=self._writes(data))

    @rule(which=_SEEDS)
    @precondition(lambda self: self.run.mode == "off" and not all(self._open.values()))
    def prepare(self, which: int) -> None:
        """PREPARE TRANSACTION."""
        going_on = sorted(number for number, prepared in self._open.items() if not prepared)
        slice_ = going_on[which % len(going_on)]
        self._do("prepare", slice=slice_)
        self._open[slice_] = True

    @rule(which=_SEEDS, end=st.sampled_from(["commit", "commit", "commit", "rollback"]))
    @precondition(lambda self: self._open)
    def end(self, which: int, end: str) -> None:
        """An open or prepared transaction ends, in any order."""
        slice_ = self._opened_one(which)
        self._do("end", slice=slice_, end=end)
        del self._open[slice_]

    @rule(where=st.sampled_from(["own", "other"]))
    @precondition(lambda self: len(self._holders) < 2)
    def hold(self, where: str) -> None:
        """A foreign transaction holds the watermark."""
        number = next(self._numbers)
        self._do("hold", number=number, where=where)
        self._holders.append(number)

    @rule()
    @precondition(lambda self: self._holders)
    def let_go(self) -> None:
        """It ends."""
        self._do("let_go", number=self._holders.pop(0))

    @rule(name=_group("daemons", STOP), number=_SEEDS)
    def break_daemon(self, name: str, number: int) -> None:
        """Something breaks, and stays so until it is mended."""
        self._do("fault", name=name, seed=number)

    @rule(name=_group("postgres"), number=_SEEDS)
    def break_postgres(self, name: str, number: int) -> None:
        """The same on the way to PostgreSQL."""
        self._do("fault", name=name, seed=number)

    @rule(name=_group("search"), number=_SEEDS)
    def break_search(self, name: str, number: int) -> None:
        """The same with Elasticsearch."""
        self._do("fault", name=name, seed=number)

    @rule(name=st.sampled_from(sorted({*FAULTS} - {*_CHAOS_LEFT_OUT})), number=_SEEDS)
    @precondition(lambda self: self.run.patient)
    def chaos(self, name: str, number: int) -> None:
        """Something breaks for some seconds, while the writers go on."""
        if self.run.kind == "stock" and "rows" in FAULTS[name].holds:
            return
        self._do("chaos", name=name, seed=number)

    @rule(event=st.sampled_from(["indexed", "watermark_moved", "swept"]))
    def breathe(self, event: str) -> None:
        """The daemon has a moment."""
        self._do("breathe", event=event, seconds=0.5)

    @rule(number=_SEEDS)
    @precondition(lambda self: len(self._steps) % 6 == 5)
    def settle(self, number: int) -> None:
        """All ends, all is mended, and index = query."""
        self._do("settle", seed=number)
        self._open.clear()
        self._holders.clear()

    def teardown(self) -> None:
        """Index = query at the end of each example."""
        try:
            broken_off = sys.exc_info()[0] is not None  # by a failure, or by Hypothesis
            if not broken_off and not self._settled:
                self._do("settle", seed=0)
        finally:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.__exit__(None, None, None)
        if self._history is not None and self.run.failed is None:
            self._history.path.unlink(missing_ok=True)


def run_examples(run: Run, *, examples: int, steps: int) -> None:
    """Draw so many examples of so many steps. Raises AssertionError with the history."""
    machine = type("Example", (Machine,), {"run": run})
    if run.seed is not None:
        machine = seed(run.seed)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,  # real servers take their time
            derandomize=run.seed is None,
            database=None,  # the history is the memory
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),  # examples take seconds, by design
            print_blob=True,
            report_multiple_bugs=False,
        ),
    )

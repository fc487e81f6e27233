"""The state machine: it draws steps, of which nobody knows beforehand whether they are harmless.

The model is small: which slices have an open writer, and who holds the watermark. It does not
depend on what the servers do, so that an example that failed can be drawn once more without doing
anything: Hypothesis repeats a failure before it reports it, and each real repetition costs a
minute. For the same reason nothing is shrunk: the history is the report, and it can be replayed.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.convergence.example import Example, Run
from tests.convergence.faults import GROUPS
from tests.convergence.sessions import SAVED, WHO
from tests.convergence.world import STOP
from tests.kit.chaos.vocabulary import FAULTS
from tests.kit.writes.statements import SLICES
from tests.kit.writes.vocabulary import VOCABULARY

_SMALL: Final = {"pending_limit": 20, "batch_documents": 7, "page_size": 40}
"""Everything overflows, and is done in many parts."""
_CHAOS_LEFT_OUT: Final = {
    "failover": "no standby",
    "big_statement": "the floods are our own",
    "notify_changed": "the mode is the example's",
    "state_unwritable": "whoever starts meanwhile ends, and says why",
    "search_killed": "the server is everybody's",
}


def _group(name: str, *more: str) -> st.SearchStrategy[str]:
    names = {run.__name__ for run in GROUPS[name]}
    return st.sampled_from(sorted({*names, *more}))


_SEEDS: Final = st.integers(0, 2**32 - 1)


class Machine(Example):
    """Draws steps."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, bool] = {}
        """Slices with an open writer, and whether it is prepared."""
        self._holders: list[int] = []
        self._numbers = itertools.count()

    def _writes(self, data: Any, *, over: bool = False, alone: bool = False) -> list[Any]:
        """Names of writes, their seeds, and savepoints. `over`: the transaction ends at once."""
        vocabulary = VOCABULARY[self.run.kind]
        free = over and not self._open  # nobody is there who could wait for a TRUNCATE
        names = [
            one.name for one in vocabulary.values() if not one.rare and (free or not one.alone)
        ]
        if alone:
            # with batches of seven a flood takes minutes
            small = "batch_documents" in self.scenario["options"]
            names = [
                one.name for one in vocabulary.values() if one.alone or (one.rare and not small)
            ]
        part = st.tuples(st.sampled_from(names), _SEEDS, st.sampled_from(SAVED)).map(list)
        drawn: list[Any] = data.draw(st.lists(part, min_size=1, max_size=1 if alone else 4))
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
        self.dry |= not earnest  # the simplest example comes first, and tells nothing
        self.scenario = {
            "kind": run.kind,
            "mode": run.mode,
            "daemons": daemons,
            "options": {"overlap": overlap, **(_SMALL if small else {})},
            "seed": run.seed,
        }
        if loaded:
            self.do("breathe", event="caught_up", seconds=20)

    @rule(data=st.data(), which=_SEEDS, who=st.sampled_from(WHO),
          end=st.sampled_from(["commit", "commit", "each", "each", "rollback"]))  # fmt: skip
    @precondition(lambda self: len(self._open) < SLICES)
    def transaction(self, data: Any, which: int, who: str, end: str) -> None:
        """Writes that are over at once."""
        self.do(
            "transaction",
            slice=self._free(which),
            who=who,
            end=end,
            writes=self._writes(data, over=True),
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
        self.do("transaction", slice=which % SLICES, who="application", end=end, writes=writes)

    @rule(data=st.data(), which=_SEEDS, who=st.sampled_from(WHO))
    @precondition(lambda self: len(self._open) < SLICES - 2)
    def open_writer(self, data: Any, which: int, who: str) -> None:
        """Somebody begins, writes now or later, and commits late."""
        slice_ = self._free(which)
        writes = data.draw(st.booleans()) and self._writes(data)
        self.do("open", slice=slice_, who=who, writes=writes or [])
        self._open[slice_] = False

    @rule(data=st.data(), which=_SEEDS)
    @precondition(lambda self: not all(self._open.values()))
    def write(self, data: Any, which: int) -> None:
        """An open writer goes on."""
        going_on = sorted(number for number, prepared in self._open.items() if not prepared)
        slice_ = going_on[which % len(going_on)]
        self.do("write", slice=slice_, writes=self._writes(data))

    @rule(which=_SEEDS)
    @precondition(lambda self: self.run.mode == "off" and not all(self._open.values()))
    def prepare(self, which: int) -> None:
        """PREPARE TRANSACTION."""
        going_on = sorted(number for number, prepared in self._open.items() if not prepared)
        slice_ = going_on[which % len(going_on)]
        self.do("prepare", slice=slice_)
        self._open[slice_] = True

    @rule(which=_SEEDS, end=st.sampled_from(["commit", "commit", "commit", "rollback"]))
    @precondition(lambda self: self._open)
    def end(self, which: int, end: str) -> None:
        """An open or prepared transaction ends, in any order."""
        slice_ = self._opened_one(which)
        self.do("end", slice=slice_, end=end)
        del self._open[slice_]

    @rule(where=st.sampled_from(["own", "other"]))
    @precondition(lambda self: len(self._holders) < 2)
    def hold(self, where: str) -> None:
        """A foreign transaction holds the watermark."""
        number = next(self._numbers)
        self.do("hold", number=number, where=where)
        self._holders.append(number)

    @rule()
    @precondition(lambda self: self._holders)
    def let_go(self) -> None:
        """It ends."""
        self.do("let_go", number=self._holders.pop(0))

    @rule(
        name=st.one_of(_group("search"), _group("search"), _group("postgres"), _group("daemons")),
        number=_SEEDS,
        data=st.data(),
        which=_SEEDS,
    )
    @precondition(lambda self: len(self._open) < SLICES)
    def surprise(self, name: str, number: int, data: Any, which: int) -> None:
        """A daemon that was at work meets a fault, and a change behind it. (Where faults come at
        random, most of them meet one that is away already.)"""
        self.do("ready")
        self.do("fault", name=name, seed=number)
        self.transaction(data, which, "application", "commit")
        self.breathe("indexed")

    @rule(name=_group("daemons", STOP), number=_SEEDS)
    def break_daemon(self, name: str, number: int) -> None:
        """Something breaks, and stays so until it is mended."""
        self.do("fault", name=name, seed=number)

    @rule(name=_group("postgres"), number=_SEEDS)
    def break_postgres(self, name: str, number: int) -> None:
        """The same on the way to PostgreSQL."""
        self.do("fault", name=name, seed=number)

    @rule(name=_group("search"), number=_SEEDS)
    def break_search(self, name: str, number: int) -> None:
        """The same with Elasticsearch."""
        self.do("fault", name=name, seed=number)

    @rule(name=st.sampled_from(sorted({*FAULTS} - {*_CHAOS_LEFT_OUT})), number=_SEEDS)
    @precondition(lambda self: self.run.patient)
    def chaos(self, name: str, number: int) -> None:
        """Something breaks for some seconds, while the writers go on."""
        if self.run.kind == "stock" and "rows" in FAULTS[name].holds:
            return
        self.do("chaos", name=name, seed=number)

    @rule(event=st.sampled_from(["indexed", "watermark_moved", "swept"]))
    def breathe(self, event: str) -> None:
        """The daemon has a moment."""
        self.do("breathe", event=event, seconds=0.5)

    @rule(number=_SEEDS)
    @precondition(lambda self: self.unsettled > 5)
    def settle(self, number: int) -> None:
        """All ends, all is mended, and index = query."""
        self.do("settle", seed=number)
        self._open.clear()
        self._holders.clear()


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

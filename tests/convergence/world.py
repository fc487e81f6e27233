"""The world of one example: a database, daemons, and steps as data that change them."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from playground.daemon import ListenerProcess
from tests.convergence.faults import REBUILD, STANDING
from tests.convergence.servers import Servers
from tests.convergence.sessions import Sessions
from tests.kit.chaos import operations
from tests.kit.chaos.vocabulary import FAULTS
from tests.kit.chaos.world import Seat, unblock
from tests.kit.chaos.world import World as Chaos
from tests.kit.scene import Scene, open_scene
from tests.kit.writes.statements import SLICES
from tests.kit.writes.vocabulary import VOCABULARY

Step = dict[str, Any]
"""What is done (`do`), and its parameters; plain JSON."""

DEADLINE: Final = 60.0
STOP: Final = "stop"
"""The fault of being asked to stop."""
_UNEXPECTED: Final = (
    "crashed",
    "parked",
    "parked_alike",
    "bad_payload",
    "deletes_guarded",
    "ended",
)


class Defect(AssertionError):
    """The promise was broken; the message says how."""


def _work(process: ListenerProcess) -> int:
    """How much it has done; it need not be quick."""
    documents = sum(int(one["written"] + one["deleted"]) for one in process.found("indexed"))
    return documents + len(process.found("compare_progress"))


def _holds(process: ListenerProcess) -> bool:
    """Whether a load or a comparison may be under way."""
    return any(
        len(process.found(begun)) > len(process.found(done))
        for begun, done in (("load_started", "loaded"), ("reconcile_started", "reconciled"))
    )


def _serves(process: ListenerProcess) -> bool:
    """Whether its present session has caught up."""
    begun = process.found("listening")
    return bool(begun) and bool(process.found("caught_up", after=begun[-1]))


def _saved(seat: Seat) -> datetime:
    """The watermark of its state.yaml."""
    try:
        content = yaml.safe_load(seat.state_file.read_text("utf-8"))
    except FileNotFoundError:
        return datetime.min.replace(tzinfo=UTC)
    found: datetime | None = content["last_processed"]
    return found or datetime.min.replace(tzinfo=UTC)


class World:
    """Does steps."""

    def __init__(self, scene: Scene, kind: str, daemons: int) -> None:
        self.scene = scene
        self.sessions = Sessions(scene, VOCABULARY[kind])
        self._over: list[ListenerProcess] = []
        self._stopped: set[int] = set()
        lock, over = threading.RLock(), threading.Event()
        seats = [
            Seat(name, scene, lock, ended=lambda _, one: self._over.append(one), over=over)
            for name in "ab"[:daemons]
        ]
        self.chaos = Chaos(scene, seats, "content.film_work", (), outage=self._outage, over=over)
        self._rebuilt = True
        """An index was lost or is not loaded yet: not the watermark says when it is there."""
        self._background: threading.Thread | None = None
        self._error: BaseException | None = None

    @contextlib.contextmanager
    def _outage(self) -> Iterator[None]:
        self.sessions.outages += 1
        yield

    # -- steps -----------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """Carry out one step. Raises Defect, and whatever else must not happen."""
        values = {name: value for name, value in step.items() if name != "do"}
        getattr(self, f"_do_{step['do']}")(**values)

    def begin(self) -> None:
        """The first content, and the daemons, which load it."""
        for number in range(SLICES):
            self.sessions.transaction(
                number, "application", "commit", [("refill", number, "plain")]
            )
        for seat in self.chaos.seats:
            seat.to_postgres.start()
            seat.to_search.start()
            seat.start()
        # the first triggers need a moment without open writers, and after a minute they give up
        self.chaos.wait(
            lambda: any(seat.process.found("listening") for seat in self.chaos.seats),
            seconds=DEADLINE,
            what="the first daemon listens",
        )

    def _do_transaction(self, slice: int, who: str, end: str, writes: list[Any]) -> None:
        self.sessions.transaction(slice, who, end, writes)

    def _do_open(self, slice: int, who: str, writes: list[Any]) -> None:
        self.sessions.open(slice, who, writes)

    def _do_write(self, slice: int, writes: list[Any]) -> None:
        self.sessions.write(slice, writes)

    def _do_prepare(self, slice: int) -> None:
        self.sessions.prepare(slice)

    def _do_end(self, slice: int, end: str) -> None:
        self.sessions.end(slice, end)

    def _do_hold(self, number: int, where: str) -> None:
        self.sessions.hold(number, where)

    def _do_let_go(self, number: int) -> None:
        self.sessions.let_go(number)

    def _do_fault(self, name: str, seed: int) -> None:
        self._join()
        self._rebuilt |= name in REBUILD
        if name == STOP:
            self._stop(random.Random(seed))
        else:
            STANDING[name].run(self.chaos, random.Random(seed))

    def _do_chaos(self, name: str, seed: int) -> None:
        self._join()
        if FAULTS[name] in operations.FAULTS:  # commands that end when a server is not there
            for seat in self.chaos.seats:
                seat.calm()
        self._rebuilt |= bool(FAULTS[name].holds & {"index", "search"}) or "load" in name
        self._background = threading.Thread(
            target=self._chaos, args=(name, seed), name=name, daemon=True
        )
        self._background.start()

    def _chaos(self, name: str, seed: int) -> None:
        try:
            FAULTS[name].run(self.chaos, random.Random(seed))
        except BaseException as error:
            self._error = error

    def _do_breathe(self, event: str, seconds: float) -> None:
        """Let the daemon come to something, if it does: a pace, no promise."""
        seat = self.chaos.active
        if not seat.running:
            return
        process, mark = seat.process, seat.process.mark()
        self.chaos.wait(lambda: bool(process.found(event, after=mark)), seconds=seconds)

    def _do_ready(self) -> None:
        """All daemons run, nothing is in their way, and one of them serves: a pace, no promise."""
        self._join()
        for name in ("mend_ways", "thaw", "start"):
            STANDING[name].run(self.chaos, random.Random())
        unblock(self.chaos)
        self.chaos.wait(
            lambda: any(seat.leads and _serves(seat.process) for seat in self.chaos.seats),
            seconds=10,
        )

    def _join(self) -> None:
        if self._background is not None:
            self._background.join()
            self._background = None
        if self._error is not None:
            raise self._error

    # -- settling --------------------------------------------------------------------------------

    def _do_settle(self, seed: int) -> None:
        """End all writers, mend all faults; then index = query as soon as the watermark says so."""
        self._join()
        self.sessions.end_all(random.Random(seed))
        self._end_stopped()
        self.chaos.heal()
        [(moment,)] = self.scene.admin("SELECT clock_timestamp()")
        self._wait_watermark(moment)
        if self._rebuilt:
            self.scene.wait_converged(DEADLINE)
            self._rebuilt = False
        elif found := self.scene.differences():
            self._explain(moment, found.report())
        self._check_logs()
        [(parked,)] = self.scene.admin("SELECT count(*) FROM listener.parked")
        if parked:
            raise Defect(f"{parked} documents are parked\n{self.logs}")

    def _stop(self, choice: random.Random) -> None:
        """SIGTERM; nobody waits for the end."""
        seat = choice.choice(self.chaos.seats)
        if seat.running and seat.process.pid not in self._stopped:  # the second ends it at once
            seat.process.signal(signal.SIGTERM)
            self._stopped.add(seat.process.pid)

    def _end_stopped(self) -> None:
        """Who was asked to stop does, once nothing is in its way; nobody else has ended."""
        for seat in self.chaos.seats:
            if not seat._process is not None:
                continue
            process = seat.process
            if process.pid in self._stopped:
                seat.calm()
                with contextlib.suppress(ProcessLookupError):
                    process.signal(signal.SIGCONT)
                status = process.exit_status(DEADLINE)
                # before its first words it knows nothing of signals
                if status != 0 and process.records:
                    raise Defect(f"exit status {status} after SIGTERM\n{self.logs}")
                seat.kill()
            elif not process.running:
                raise Defect(f"daemon {seat.name} ended by itself\n{self.logs}")

    def _wait_watermark(self, moment: datetime) -> None:
        marks = {seat.process.pid: seat.process.mark() for seat in self.chaos.seats}

        def passed(text: Any) -> bool:
            return datetime.fromisoformat(str(text)) >= moment

        def has(seat: Seat) -> bool:
            mark = marks[seat.process.pid]
            moved = seat.process.found("watermark_moved", after=mark, last_processed=passed)
            # told while a load or comparison holds what is saved, and only that counts
            return bool(moved) and (not _holds(seat.process) or _saved(seat) >= moment)

        quiet_since, before = time.monotonic(), 0
        while not any(has(seat) for seat in self.chaos.seats):
            dead = [seat.name for seat in self.chaos.seats if not seat.running]
            if dead:
                raise Defect(f"daemon {dead[0]} ended by itself\n{self.logs}")
            work = sum(_work(seat.process) for seat in self.chaos.seats)
            if work > before:
                quiet_since, before = time.monotonic(), work
            if time.monotonic() > quiet_since + DEADLINE:
                raise Defect(
                    f"the watermark has not passed {moment}, and nothing happens for "
                    f"{DEADLINE:g} s\n{self.scene.differences().report()}\n{self.logs}"
                )
            self.chaos.over.wait(0.02)

    def _explain(self, moment: datetime, first: str) -> None:
        """It differs although the watermark has passed: say whether that mends itself."""
        later = "it is equal some seconds later: the watermark came too early"
        try:
            self.scene.wait_converged(5)
        except pytest.fail.Exception as error:
            later = f"and it stays so: {str(error)[:1000]}"
        raise Defect(f"the watermark passed {moment}, but\n{first}\n{later}\n{self.logs}")

    def _check_logs(self) -> None:
        for process in [*self._over, *(seat.process for seat in self.chaos.seats)]:
            bad = [one for name in _UNEXPECTED for one in process.found(name)]
            if bad and bad[0].event == "bad_payload" and process.found("standing_by"):
                # who took over may hear one barrier more of the daemon before
                heard = bad[0]
                if heard["reason"] == "a barrier that is not awaited" and heard["count"] == 1:
                    bad = bad[1:]
            bad += [one for one in process.found("text") if "Traceback" in one.message]
            if bad:
                raise Defect(f"{bad[0].event}: {bad[0].message}\n{self.logs}")

    @property
    def logs(self) -> str:
        """The logs of all daemons, the dead ones first."""
        present = [seat.process for seat in self.chaos.seats if seat._process is not None]
        lives = [*self._over, *present]
        return "\n\n".join(one.log for one in lives)

    def close(self) -> None:
        """End everything."""
        self.chaos.over.set()
        if self._background is not None:
            self._background.join()
        for seat in self.chaos.seats:
            seat.kill()
            seat.to_postgres.stop()
            seat.to_search.stop()
        self.sessions.close()


@contextlib.contextmanager
def open_world(servers: Servers, scenario: Step, folder: Path) -> Iterator[World]:
    """A world that leaves nothing behind. `scenario`: its schema (`kind`), `notify` of all tables
    (`mode`), how many `daemons`, and their `options`."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = scenario["kind"]
    with open_scene(servers.postgres, servers.search, servers.templates[kind], folder) as scene:
        for document in scene.options["documents"]:
            for watch in document["watch"]:
                watch["notify"] = scenario["mode"]
        scene.set(**scenario["options"], audit_every=1)
        # rows and doorbell write beside prepared transactions of nobody
        scene.set(triggers={"no_2pc": True}, elasticsearch={"request_timeout": 5})
        world = World(scene, kind, scenario["daemons"])
        try:
            world.begin()
            yield world
        finally:
            world.close()

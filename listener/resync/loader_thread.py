"""The loader's thread: gives the runner a connection, and waits where a server fails."""

from __future__ import annotations

from listener.documents.connections import Connections
from listener.failures import FAILURES, Failure, failure_of
from listener.indexing.gate import FencedOut
from listener.indexing.pipeline import Interrupted
from listener.indexing.supervisor import Supervisor
from listener.observations.events import Observe
from listener.resync.cancellation import Cancellation
from listener.resync.runner import Runner
from listener.resync.under_way import UnderWay
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Life, ServiceThread
from listener.search.index_config import IndexError_
from listener.triggers import TriggerError


class LoaderThread:
    """Brings what is under way to its end, and ends then. The coordinator starts and ends it.

    Where only a new session can go on, the thread ends and asks for one. A comparison that is left
    to it after that is written down, but not begun: the index may be gone, or another daemon's. The
    new session finds it due.
    """

    def __init__(
        self,
        *,
        under_way: UnderWay,
        runner: Runner,
        connections: Connections,
        waits: Backoff,
        supervisor: Supervisor,
        observe: Observe,
        life: Life,
    ) -> None:
        self._under_way = under_way
        self._runner = runner
        self._connections = connections
        self._waits = waits
        self._supervisor = supervisor
        self._observe = observe
        self._life = life
        self.held: Failure | None = None
        """Why a load cannot go on before a person has mended something."""
        self._cancellation = Cancellation(life.stop)
        self._thread: ServiceThread | None = None

    def start(self) -> None:
        """Something is under way. The thread must not be at work."""
        self._waits.reset()
        self._cancellation = Cancellation(self._life.stop)
        self._under_way.started()
        self._thread = ServiceThread("loader", self._run, self._life)
        self._thread.start()

    def end(self) -> None:
        """Stop it after the page in flight, and wait for that. Safe to call twice, and before the
        start.
        """
        self._cancellation.cancel()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._under_way.cancelled()
        self.held = None

    def _run(self) -> None:
        try:
            while not self._ends():
                self._work()
        except (FencedOut, IndexError_):  # a new session finds the index gone, changed, foreign
            self._supervisor.fenced()

    def _ends(self) -> bool:
        return self._cancellation.requested() or self._under_way.ended()

    def _work(self) -> None:
        """As much as can be done on one connection; what fails is waited for."""
        try:
            with self._connections.open("listener: load") as connection:
                while not self._ends():
                    self._runner.turn(connection, self._cancellation)
                    self._waits.reset()
                    self.held = None
        except (IndexError_, TriggerError):
            raise
        except Interrupted:  # the pipeline tells why
            self._cancellation.wait(self._waits.next_wait())
        except FAILURES as error:  # of data, too: the audit sees what was altered, and begins anew
            self._wait(failure_of(error).during("full load"))

    def _wait(self, failure: Failure) -> None:
        self.held = None if failure.passes else failure
        self._cancellation.wait(failure.next_wait(self._waits, self._observe))

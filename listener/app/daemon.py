"""The daemon: starts and stops the parts of a run, and turns what ends it into a status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from listener import __version__, postgres, search
from listener.app.life import RunLife
from listener.app.startup import Startup
from listener.app.status import GIVEN_UP, REFUSALS, Status, describe, matters_of
from listener.app.wiring import Run, Stages
from listener.capture.notifications import AlreadyActive
from listener.config import Config
from listener.documents.topology import Reassemble
from listener.failures import SERVER_ERRORS, failure_of
from listener.observations import events
from listener.observations.events import Observe
from listener.resync.survey import Asked
from listener.runtime.lifecycle import Stop, Stopped
from listener.state.control import ControlDocument
from listener.state.heartbeat import Matter
from listener.state.pulse import Pulse

_DEFECT: Final = "start it again, and report what its log says"


class Daemon:
    """One run of a pipeline: for ever, once, or a full load."""

    def __init__(
        self,
        config: Config,
        *,
        observe: Observe,
        stop: Stop,
        once: bool = False,
        asked: Asked | None = None,
    ) -> None:
        """`once`: catch up, do what was `asked`, and return."""
        self._config = config
        self._observe = observe
        self._stop = stop
        self._once = once
        self._asked = Asked() if asked is None else asked
        self._pulse = Pulse(config, daemon=not once)
        self._startup = Startup(
            config,
            pulse=self._pulse,
            observe=observe,
            stop=stop,
            once=once,
            force=self._asked.force,
        )
        self._matters: tuple[Matter, ...] = ()
        """Why it has ended, where a person must mend something."""
        self._served = False
        """Whether parts were started once: what does not fit from then on is waited for."""
        self._life = RunLife(observe)

    def run(self) -> Status:
        """Work until done or stopped. Returns when everything has stopped."""
        loads = self._asked.force or self._asked.load
        mode = "full load" if loads else "once" if self._once else "daemon"
        self._observe(events.Started(__version__, self._config.pipeline, mode))
        self._pulse.start()
        status = self._outcome(self._work)
        self._pulse.end(self._matters)
        if status is Status.ACTIVE and self._only_catches_up:
            status = self._outcome(self._beside_active)
        self._observe(events.StoppedAll(int(status)))
        return status

    @property
    def _only_catches_up(self) -> bool:
        asked = self._asked
        loads = asked.force or asked.load or asked.rollback
        return self._once and not loads and asked.repair is None

    def _outcome(self, work: Callable[[], Status]) -> Status:
        """Do it; errors become what is told, and the exit status that they mean."""
        try:
            return work()
        except Stopped:
            return Status.GAVE_UP if self._once else Status.OK
        except GIVEN_UP as error:
            reason, matters = describe(error), matters_of(error)
            lasting = isinstance(error, SERVER_ERRORS) and not failure_of(error).passes
            status = Status.USAGE if lasting else Status.GAVE_UP
        except AlreadyActive as error:
            reason, status = f"already active: {error}", Status.ACTIVE
            matters = (Matter.of(reason),)
            if self._only_catches_up:
                self._observe(events.BesideActive(str(error)))
                return status
        except REFUSALS as error:
            reason, status = describe(error), Status.USAGE
            matters = matters_of(error)
        except Exception as error:
            reason, status = f"{type(error).__name__}: {error}", Status.DEFECT
            if error is not self._life.reason:  # else it was told where it happened
                self._observe(events.Crashed(threading.current_thread().name, reason))
            self._matters = (Matter(reason=f"a defect of listener: {reason}", mend=_DEFECT),)
            return status
        self._observe(events.Ended(reason))
        self._matters = matters
        return status

    def _work(self) -> Status:
        """Build the parts and run them; once more where the tables have changed their types."""
        client = search.connect(self._config.elasticsearch)
        while True:
            try:
                return self._run(client)
            except Reassemble as error:
                self._observe(events.Reassembled(str(error)))
                self._life = RunLife(self._observe)

    def _run(self, client: search.Client) -> Status:
        life = self._life
        stages = Stages(
            Run(
                config=self._config,
                parts=self._startup.prepare(client, served=self._served),
                client=client,
                asked=self._asked,
                once=self._once,
                judge=self._startup,
                pulse=self._pulse,
                observe=self._observe,
                life=life,
            )
        )
        relay = life.follow(self._stop)
        try:
            stages.start()
            self._served = True
            if self._once:
                stages.catch_up()
            else:
                life.stop.wait()
        finally:
            life.stop.request()
            if self._stop.requested:
                self._observe(events.Stopping("a signal asked for it"))
            # in a thread: a main thread that blocks without a limit may not see a second signal
            stopping = threading.Thread(target=stages.stop, name="stopping", daemon=True)
            stopping.start()
            while stopping.is_alive():
                stopping.join(0.2)
            relay.join()
        if life.reason is not None:
            raise life.reason
        if self._once and self._stop.requested:
            return Status.GAVE_UP
        if self._once and stages.guarded:
            return Status.USAGE
        some = stages.parked or stages.without_documents
        return Status.PARKED if self._once and some else Status.OK

    def _beside_active(self) -> Status:
        """--once beside an active daemon writes nothing: it waits for that one's watermark."""
        config = self._config
        with postgres.connect(config.postgres, "listener: once") as connection:
            row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
        assert row is not None
        wanted: datetime = row[0]
        control = ControlDocument(
            search.connect(config.elasticsearch),
            config.elasticsearch.control_index,
            config.pipeline,
        )
        deadline = time.monotonic() + max(config.backoff.give_up_after, 15)
        while time.monotonic() < deadline:
            try:
                found = control.read().state
            except search.Error:
                found = None
            if found is not None and found.last_processed and found.last_processed >= wanted:
                return Status.OK
            if self._stop.wait(0.25):
                break
        return Status.ACTIVE

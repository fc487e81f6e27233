"""Signs of life: what the daemon says of itself to `listener health`."""

from __future__ import annotations

from listener.config import Config
from listener.indexing.pipeline import Pipeline
from listener.resync.jobs import Jobs
from listener.state import heartbeat
from listener.state.heartbeat import DaemonState, waiting_for
from listener.state.store import Keeper


class Signs:
    """Writes the heartbeat. Of the coordinator's thread."""

    def __init__(self, config: Config, pipeline: Pipeline, jobs: Jobs, keeper: Keeper) -> None:
        self._config = config
        self._pipeline = pipeline
        self._jobs = jobs
        self._keeper = keeper
        self.active = False
        """Whether this daemon is the active one: a standby sends nothing, so nothing holds it."""

    def serving(self) -> None:
        """All is well, unless a person must decide over deletes, or over a new index."""
        if self._jobs.refusals:
            self.tell(DaemonState.HELD, "; ".join(self._jobs.refusals))
        elif self._jobs.guarded:
            names = ", ".join(sorted(self._jobs.guarded))
            self.tell(
                DaemonState.GUARDED, f"{names}: deleting so many documents needs a person's word"
            )
        else:
            self.tell(DaemonState.LOADING if self._jobs.running else DaemonState.SERVING)

    def tell(self, state: DaemonState, reason: str | None = None) -> None:
        """`reason`: why it is not serving. What holds the pipeline, or a server in trouble, is
        told instead of both."""
        trouble, braked = self._pipeline.trouble, self._pipeline.braked
        held = self._pipeline.held or self._jobs.held
        if not self.active:
            pass
        elif braked is not None:
            state, reason = DaemonState.BRAKED, braked
        elif held is not None and reason is None:
            state, reason = DaemonState.HELD, held
        elif trouble is not None and reason is None:
            state, reason = waiting_for(trouble.server), trouble.reason
        if reason is None and self._keeper.trouble is not None:
            reason = self._keeper.trouble
        heartbeat.beat(
            self._config.state_file_name,
            fetch_delay=self._config.fetch_delay,
            state=state,
            last_processed=self._keeper.last_processed,
            reason=reason,
        )

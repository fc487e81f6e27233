"""When the audit is due, and what follows from what it finds."""

from __future__ import annotations

import math
import time

from listener import postgres, search
from listener.config import Config
from listener.coordinator.signs import Signs
from listener.failures import failure_of
from listener.indexing.fence import Fence
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.resync.audit import Auditor
from listener.resync.jobs import Jobs


class Audits:
    """For the coordinator's thread alone. Errors of both clients pass through."""

    def __init__(
        self,
        *,
        config: Config,
        auditor: Auditor,
        fence: Fence,
        pipeline: Pipeline,
        jobs: Jobs,
        signs: Signs,
        observe: Observe,
    ) -> None:
        self._kinds = range(len(config.documents))
        self._audit_every = config.audit_every
        self._auditor = auditor
        self._fence = fence
        self._pipeline = pipeline
        self._jobs = jobs
        self._signs = signs
        self._observe = observe
        self._control_index = config.elasticsearch.control_index
        self._audited_at = -math.inf
        self._doubted = False
        """Elasticsearch was in trouble: what comes back may be an older one."""

    def doubt(self) -> None:
        """Elasticsearch is in trouble: audit when that is over."""
        self._doubted = True

    def look_meanwhile(self, connection: postgres.Connection) -> bool:
        """While documents cannot be read: whether the database was altered, where a look is due.

        The wait may never end: only a new session notices, say, that a key column has another type.
        """
        if not self._due:
            return False
        self._audited_at = time.monotonic()
        return self._tell(self._auditor.audit_database(connection))

    def look_at_indexes(self) -> bool:
        """While writes are held: whether an index was altered, where a look is due.

        What refuses them may be a setting of the index in use. Only a new session replaces that
        index, and no tick ends before the writes are taken.
        """
        if not self._due:
            return False
        self._audited_at = time.monotonic()
        try:
            return self._tell(self._auditor.audit_indexes(self._loading))
        except search.Error:
            return False  # the pipeline tells what is the matter

    def failed(self, connection: postgres.Connection) -> bool:
        """Where an audit is due: look whether all is as it was left. True where it is not."""
        if self._pipeline.trouble is None and self._doubted:
            self._doubted = False
            self._audited_at = -math.inf
        if not self._due:
            return False
        self._audited_at = time.monotonic()
        try:
            altered = self._auditor.audit(connection, self._loading)
            if altered is None:
                altered = self._astray()
        except search.Error as error:
            self._put_off(error)
            return False
        if altered is None:
            self._tell_hindrances()
            self._pipeline.retry_unproven()
        return self._tell(altered)

    @property
    def _loading(self) -> list[int]:
        """The kinds whose index is replaced anyway."""
        return [kind for kind in self._kinds if self._fence.loading(kind)]

    @property
    def _due(self) -> bool:
        return time.monotonic() - self._audited_at > self._audit_every

    def _tell(self, altered: str | None) -> bool:
        if altered is not None:
            self._observe(events.AuditFailed(altered))
        return altered is not None

    def _put_off(self, error: Exception) -> None:
        """Elasticsearch is away, and a new session would end the loads that wait for it. Raises the
        error where no load waits, or where it does not pass by itself."""
        suffering = self._pipeline.trouble is not None
        failure = failure_of(error)
        if not failure.passes or not (suffering or self._jobs.running):
            raise error
        self._doubted = self._doubted or suffering
        if not suffering:  # else the pipeline has told it
            self._observe(failure.during("audit").wait(1, self._audit_every))

    def _tell_hindrances(self) -> None:
        """Each is told once for as long as it stands."""
        try:
            found = self._auditor.hindrances(self._control_index)
        except search.Error:
            return  # what may not be read, as where an index is blocked, hinders nothing else
        for one in found:
            if one not in self._signs.hindrances:
                self._observe(events.CheckWarning(one.what, one.mend))
        self._signs.hindrances = found

    def _astray(self) -> str | None:
        """What may have led writes to other indexes; None: nothing has."""
        found = self._fence.astray()
        if found is None:
            former = self._fence.former_astray()
            if former is not None:  # the next tick closes it
                self._auditor.distrust_former(former[0], former[1].what)
            return None
        kind, what = found
        if what.scattered:
            self._auditor.distrust_index(kind)
        else:
            self._auditor.distrust()  # what was accepted elsewhere is missing here
        return what.what

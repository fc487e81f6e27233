"""Signs of life: what the daemon says of itself, and what of it waits for a person."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from listener.coordinator.mailbox import Mailbox
from listener.coordinator.peer import Peer
from listener.indexing.pipeline import Pipeline
from listener.resync.jobs import Jobs
from listener.search.index_settings import Fault
from listener.state.heartbeat import DaemonState, Matter, waiting_for
from listener.state.pulse import Pulse
from listener.state.store import Keeper

_LINGERS: Final = 60.0
"""Seconds for which what has held counts after it was last seen: more than between two tries."""
_TICKS: Final = 2
"""Ticks after which it counts no more: the second one began later, and all before it is indexed."""
_OVER_DELETES: Final = "`listener verify --repair --allow-deletes`, if the database is right"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What has held; when it was last seen (time.monotonic), and after how many ticks."""

    reason: str
    at: float
    ticks: int


class Signs:
    """Writes the heartbeat. Of the coordinator's thread."""

    def __init__(
        self,
        pulse: Pulse,
        *,
        pipeline: Pipeline,
        jobs: Jobs,
        keeper: Keeper,
        mailbox: Mailbox,
        peer: Peer,
    ) -> None:
        """`peer`: the active daemon, while this one stands by."""
        self._pulse = pulse
        self._pipeline = pipeline
        self._jobs = jobs
        self._keeper = keeper
        self._mailbox = mailbox
        self._peer = peer
        self._seen: dict[str, _Seen] = {}
        """By what it was seen of."""
        self.active = False
        """Whether this daemon is the active one: a standby sends nothing, so nothing holds it."""
        self.hindrances: Sequence[Fault] = ()
        """What the last audit has found that hinders searches or writes."""

    def serving(self) -> None:
        """All is well, unless `tell` knows better."""
        self.tell(DaemonState.LOADING if self._jobs.running else DaemonState.SERVING)

    def tell(self, state: DaemonState, reason: str | None = None) -> None:
        """`reason`: why it is not serving. What holds the pipeline, or a server in trouble, is
        told instead of both."""
        self._note(state, reason)
        trouble, braked = self._pipeline.trouble, self._pipeline.braked
        if not self.active:
            pass
        elif braked is not None:
            state, reason = DaemonState.BRAKED, braked
        elif self._seen and reason is None:
            state, reason = DaemonState.HELD, next(iter(self._seen.values())).reason
        elif trouble is not None and reason is None:
            state, reason = waiting_for(trouble.server), trouble.reason
        elif self._jobs.refusals and reason is None:
            state, reason = DaemonState.HELD, "; ".join(self._jobs.refusals)
        elif self._jobs.guarded and reason is None:
            state = DaemonState.GUARDED
        self._pulse.tell(
            state,
            reason,
            matters=tuple({one.reason: one for one in reversed(self._matters(state))}.values()),
            last_processed=self._keeper.last_processed,
        )

    def _note(self, state: DaemonState, reason: str | None) -> None:
        """Note what holds. Where one of several indexes is held, the others succeed in between, and
        so does the first half of a session that fails in its second: what held a moment ago holds
        still, until ticks are complete.
        """
        now, ticks = time.monotonic(), self._mailbox.ticks
        if state is DaemonState.STANDING_BY:
            self._seen.clear()  # all that is the active daemon's now
        held = {"session": reason} if state is DaemonState.HELD else {}
        if self.active:
            held["pipeline"] = self._pipeline.held or self._pipeline.braked
            held["load"] = self._jobs.held
        for of, why in held.items():
            if why is not None:
                self._seen[of] = _Seen(why, now, ticks)
        self._seen = {
            of: one
            for of, one in self._seen.items()
            if now - one.at < _LINGERS and ticks < one.ticks + _TICKS
        }

    def _matters(self, state: DaemonState) -> list[Matter]:
        """What waits for a person."""
        found = [Matter.of(one.reason) for one in self._seen.values()]
        if self._keeper.trouble is not None:
            found.append(Matter.of(self._keeper.trouble, "room there, or the right to write there"))
        if state is DaemonState.STANDING_BY:
            differs = self._peer.differs()
            return found if differs is None else [*found, differs]
        if not self.active:
            return found
        for alias in sorted(self._jobs.guarded):
            reason = f"{alias}: deleting so many documents needs a person's word"
            found.append(Matter(reason=reason, mend=_OVER_DELETES))
        if self._pipeline.parked:
            count = self._pipeline.parked
            reason = "1 document is parked" if count == 1 else f"{count} documents are parked"
            found.append(Matter(reason=reason, mend="what `listener parked` says"))
        found += [Matter(reason=one.what, mend=one.mend) for one in self.hindrances]
        found += [Matter.of(one) for one in self._jobs.refusals]  # the last is told first
        return found

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
_ROOM: Final = "room there, or the right to write there"
_OVER_DELETES: Final = "`listener verify --repair --allow-deletes`, if the database is right"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What has held, and what mends it; when it was last seen (time.monotonic), and after how many
    ticks."""

    reason: str
    mend: str
    at: float
    ticks: int


class Signs:
    """Writes the heartbeat. For the coordinator's thread alone."""

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
        """What held lately, by what it holds: session, pipeline or load."""
        self.active = False
        """Whether this daemon is the active one: a standby sends nothing, so nothing holds it."""
        self.hindrances: Sequence[Fault] = ()
        """What the last audit has found that hinders searches or writes."""

    def serving(self) -> None:
        """All is well, unless `tell` knows better."""
        if self._jobs.running:
            self.tell(DaemonState.LOADING if self._jobs.has_load else DaemonState.COMPARING)
        else:
            self.tell(DaemonState.SERVING)

    def tell(self, state: DaemonState, reason: str | None = None, mend: str = "") -> None:
        """`reason`: why it is not serving, and what mends that. What holds the pipeline, or a
        server in trouble, is told instead of them."""
        self._note(state, reason, mend)
        trouble, braked = self._pipeline.trouble, self._pipeline.braked
        if not self.active:
            pass
        elif braked is not None:
            state, reason, mend = DaemonState.BRAKED, braked.reason, braked.mend
        elif self._seen and reason is None:
            seen = next(iter(self._seen.values()))
            state, reason, mend = DaemonState.HELD, seen.reason, seen.mend
        elif trouble is not None and reason is None:
            state, reason, mend = waiting_for(trouble.server), trouble.reason, trouble.mend
        elif self._jobs.refusals and reason is None:
            state = DaemonState.HELD
            reason = "; ".join(one.reason for one in self._jobs.refusals)
        elif self._jobs.guarded and reason is None:
            state = DaemonState.GUARDED
        self._pulse.tell(
            state,
            reason,
            mend,
            matters=tuple({one.reason: one for one in reversed(self._matters(state))}.values()),
            last_processed=self._keeper.last_processed,
        )

    def _note(self, state: DaemonState, reason: str | None, mend: str) -> None:
        """Note what holds. Where one of several indexes is held, the others succeed in between, and
        so does the first half of a session that fails in its second: what held a moment ago holds
        still, until ticks are complete.
        """
        now, ticks = time.monotonic(), self._mailbox.ticks
        if state is DaemonState.STANDING_BY:
            self._seen.clear()  # all that is the active daemon's now
        held: dict[str, tuple[str, str]] = {}
        if state is DaemonState.HELD and reason is not None:
            held["session"] = reason, mend
        if self.active:
            of_pipeline = self._pipeline.held or self._pipeline.braked
            for of, why in (("pipeline", of_pipeline), ("load", self._jobs.held)):
                if why is not None:
                    held[of] = why.reason, why.mend
        for of, (told, mends) in held.items():
            self._seen[of] = _Seen(told, mends, now, ticks)
        self._seen = {
            of: one
            for of, one in self._seen.items()
            if now - one.at < _LINGERS and ticks < one.ticks + _TICKS
        }

    def _matters(self, state: DaemonState) -> list[Matter]:
        """What waits for a person."""
        found = [Matter.of(one.reason, one.mend) for one in self._seen.values()]
        unwritten = self._keeper.trouble
        if unwritten is not None:
            found.append(Matter.of(unwritten.reason, unwritten.mend or _ROOM))
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
        for alias, rolled in sorted(self._keeper.rolled_back.items()):
            since = f"{rolled.since:%Y-%m-%d %H:%M:%S%z}"
            reason = f"{alias}: rolled back, and its files are not in force since {since}"
            mend = f"put the files right, or `listener load {alias}` loads them again"
            found.append(Matter(reason=reason, mend=mend))
        found += [Matter(reason=one.what, mend=one.mend) for one in self.hindrances]
        # the last is told first
        found += [Matter.of(one.reason, one.mend) for one in self._jobs.refusals]
        return found

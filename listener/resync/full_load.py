"""The full load: every document into a new index, then the swap of the alias. Resumable.

Ids are read by keyset, in short statements. A part of a page is on its way to Elasticsearch while
the next parts are read. It is written down when it and all before it are acknowledged. So a load
that was killed goes on in the index that it began, and repeats a page at most. Live changes go to
the new index from its first moment on. What is left to catch up with is what the sweeps bring.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from listener import ListenerError, postgres, search
from listener.documents.kinds import Kind
from listener.indexing.fence import Fence
from listener.indexing.gate import FencedOut
from listener.indexing.ledger import LoadCounts
from listener.indexing.pipeline import Interrupted, Pipeline
from listener.indexing.queue import Job
from listener.observations import events
from listener.observations.events import Observe, ServerName
from listener.resync.cancellation import Check
from listener.resync.lookout import Lookout
from listener.resync.rollbacks import Rollbacks
from listener.resync.swap_guard import Weighed
from listener.runtime.lifecycle import Stopped
from listener.search.indexes import Indexes
from listener.search.write_aliases import Role
from listener.state.model import Load
from listener.state.store import Keeper

_PARTS: Final = 8
"""Of a page. While some are written the next ones are read; a restart repeats a page at most."""


class AliasTaken(ListenerError):
    """A concrete index has the name of the alias. The message has the command that mends it."""


class Loader:
    """Makes the new index of a document kind, brings the documents into it, and swaps the alias.

    Its methods run in the thread that calls them. Errors of both clients pass through.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        fence: Fence,
        indexes: Indexes,
        keeper: Keeper,
        lookout: Lookout,
        page_size: int,
        rollbacks: Rollbacks,
        observe: Observe,
    ) -> None:
        """`page_size`: how many ids a restart repeats at most. `rollbacks`: makes the swap."""
        self._pipeline = pipeline
        self._fence = fence
        self._indexes = indexes
        self._keeper = keeper
        self._lookout = lookout
        self._page_size = page_size
        self._rollbacks = rollbacks
        self._observe = observe
        self._began: dict[str, float] = {}
        """By alias, when its load began, by the monotonic clock."""
        self._before: dict[str, Load] = {}
        """By alias, how far its load was when it was begun or gone on with."""

    def begin(self, kind: Kind, reason: str, resume: Load | None, now: datetime) -> Load:
        """Make the new index, or take up the one of `resume`, and feed it live changes.

        `now`: by the server's clock. The start that is proven for this load must be drawn later.
        Raises IndexError_, and FencedOut where another generation is in force.
        """
        if resume is not None:
            load = resume
        else:
            self._drop_unfinished(kind)
            name = f"{kind.index}-{kind.hash}-{now.astimezone(UTC):%Y%m%dt%H%M%S%f}z"
            kept = kind.definition.to_json()
            made = self._indexes.create(name, kind.config, kind.hash, kept)
            self._indexes.started(name)
            self._lookout.begin(name, made.mapping)
            load = Load(index=kind.index, physical=name, started_at=now)
        self._began[kind.index] = time.monotonic()
        self._before[kind.index] = load
        self._observe(events.LoadStarted(kind.index, load.physical, reason, load.documents))
        with self._fence.changing():  # nothing is brought to it before what it takes is counted
            self._fence.load(kind.number, load.physical)
            self._pipeline.begin_load(self._fed_by(kind, Role.LOADING))
        return load

    def give_up(self, kind: Kind) -> None:
        """Remove the index of this load, which is not to be made.

        Raises FencedOut, also where Elasticsearch fails: the index may be gone, so that the load
        could not go on.
        """
        try:
            with self._fence.changing():
                self._fence.refuse_astray()
                self._drop_unfinished(kind)
                self._fence.point()
        except search.Error as error:
            raise FencedOut(search.describe(error)) from error
        self._keeper.drop_load(kind.index)

    def _drop_unfinished(self, kind: Kind) -> None:
        """Remove the indexes of loads that were given up, where only listener has fed them and no
        alias of users leads to them.
        """
        for kept in self._indexes.drop_loads(kind.index):
            ours = kept.startswith(f"{kind.index}-")
            self._observe(events.OldIndexKept(kind.index, kept, ours=ours))
        self._fence.load(kind.number, None)

    def counted(self, kind: Kind, load: Load) -> Load:
        """The same, with the documents that were written and not taken up to now."""
        before, now = self._before[kind.index], self._counts(kind)
        return load.model_copy(
            update={
                "written": before.written + now.written,
                "untaken": before.untaken + now.untaken,
            }
        )

    def pages(
        self, connection: postgres.Connection, kind: Kind, load: Load, check: Check
    ) -> Iterator[Load]:
        """Load what is left. Yields how far the load is, each time that more of it is acknowledged.

        Raises Stopped, and what the Check raises; Interrupted where its kind is held. psycopg.Error
        passes through. After these two call it again, with the load that came last.
        """
        total = kind.source.estimate(connection)
        began = self._began[kind.index]
        part = max(1, self._page_size // _PARTS)
        most = min(_PARTS, self._page_size // part)
        flying: deque[tuple[Job | None, Load]] = deque()
        asked, told = load, load.documents
        while not load.done:
            while not asked.done and len(flying) < most:
                job, asked = self._next_part(connection, kind, asked, part)
                flying.append((job, asked))
            job, reached = flying.popleft()
            if job is not None:
                self._wait(job, check)
            while flying and (flying[0][0] is None or flying[0][0].finished):
                _, reached = flying.popleft()  # one bulk may have answered several
            load = self.counted(kind, reached)
            yield load
            if load.documents - told >= self._page_size or (load.done and load.documents > told):
                told = load.documents
                self._observe(
                    events.LoadProgress(
                        kind.index,
                        load.documents,
                        max(total, load.documents),
                        time.monotonic() - began,
                        load.written,
                        self._counts(kind).parked,
                    )
                )
            check.check()

    def _next_part(
        self, connection: postgres.Connection, kind: Kind, load: Load, part: int
    ) -> tuple[Job | None, Load]:
        """Hand on the next ids. Returns their job, and the load as it is when that is finished. No
        job: no ids are left.
        """
        keys = kind.source.id_page(connection, load.after, part)
        if not keys:
            return None, load.model_copy(update={"done": True})
        job = self._pipeline.submit_ids(self._fed_by(kind, Role.LOADING), keys)
        reached = {"after": keys[-1], "documents": load.documents + len(keys)}
        return job, load.model_copy(update=reached)

    def _fed_by(self, kind: Kind, role: Role) -> int:
        """The number of the kind that feeds the index in this role. Raises FencedOut where none
        does."""
        feeding = self._fence.kind(kind.number, role)
        if feeding is None:
            raise FencedOut(f"{kind.index}: the index that a load fills is not fed any more")
        return feeding.number

    def _counts(self, kind: Kind) -> LoadCounts:
        return self._pipeline.load_counts(self._fed_by(kind, Role.LOADING))

    def interruptions(self, kind: Kind) -> int:
        """How often what feeds the new index was held or released; odd while it is held. Raises
        FencedOut where nothing feeds it."""
        return self._pipeline.interruptions_of(self._fed_by(kind, Role.LOADING))

    def _wait(self, job: Job, check: Check) -> None:
        """Wait until Elasticsearch has all of it."""
        while not self._pipeline.wait(job, 1.0):
            check.check()
            if self._pipeline.crashed:
                raise Stopped("the load was stopped")
        if job.dropped:
            raise Interrupted("documents of a load are not brought for now")

    def swap(self, kind: Kind, load: Load, check: Check, *, proven: bool, weighed: Weighed) -> None:
        """Refresh, bring the replicas back, wait for them, then swap the alias in one call.

        `weighed`: what it has brought. `proven`: every change stamped before the
        load's start was visible to its first page. Raises AliasTaken, FencedOut where the index may
        lack what it was sent, IndexError_ where the alias is another owner's, Stopped, and what the
        Check raises.
        """
        self._indexes.finish(load.physical, kind.config)
        while not self._indexes.healthy(load.physical, seconds=5):
            self._observe(
                events.Waiting(
                    ServerName.ELASTICSEARCH, 1, 0, f"{load.physical} waits for its replicas"
                )
            )
            check.check()
        lost = self._lookout.settle(load.physical, load.started_at if proven else None, load)
        if lost is not None:  # a new session goes on from where it is certain
            raise FencedOut(lost)
        if self._indexes.is_concrete(kind.index):
            raise AliasTaken(
                f"{kind.index!r} is a concrete index, not an alias, and listener does not touch "
                f"it. The documents are loaded in {load.physical}. This replaces the index (it is "
                "deleted) in one step; then start listener again:\n"
                "curl -X POST ELASTICSEARCH/_aliases -H 'Content-Type: application/json' -d "
                f'\'{{"actions":[{{"remove_index":{{"index":"{kind.index}"}}}},'
                f'{{"add":{{"index":"{load.physical}","alias":"{kind.index}"}}}}]}}\''
            )
        former = self._rollbacks.swap(kind, load)
        found = self._indexes.get(load.physical)
        self._keeper.load_complete(
            kind.index, found.uuid if found else "", load.started_at if proven else None
        )
        parked = self._pipeline.load_counts(self._fed_by(kind, Role.IN_USE)).parked
        seconds = time.monotonic() - self._began[kind.index]
        self._observe(
            events.Loaded(
                kind.index, load.physical, load.documents, seconds, weighed.written, parked
            )
        )
        old = self._indexes.old(kind.index)
        others = {one.name: str(one.database) for one in self._indexes.old_of_others(kind.index)}
        for name in former:
            if name != load.physical:
                whose = others.get(name, "")
                kept = events.OldIndexKept(kind.index, name, name in old, belongs_to=whose)
                self._observe(kept)
        self._pipeline.refresh_soon()

"""What a session begins with: whose history this is, and which documents are loaded or compared.

The order of the steps is the point of this module. What is doubtful is written down before anything
can fail, and the new identity is saved together with the comparisons that it makes necessary: the
next session would find no difference any more that tells of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from listener.capture import journal
from listener.documents import session_settings
from listener.documents.connections import Connections
from listener.documents.kinds import Kind
from listener.documents.meaning import Meaning
from listener.indexing.fence import Current
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync import ownership
from listener.resync.audit import Auditor
from listener.resync.lookout import Lookout
from listener.resync.meanings import Meanings
from listener.resync.needs import Asked, Needs, Plan, Session
from listener.resync.scope import Scope
from listener.resync.went_back import SearchPast
from listener.search.indexes import Indexes
from listener.search.owners import Database
from listener.state import identity
from listener.state.control import ControlDocument
from listener.state.identity import Facts
from listener.state.model import Identity, State
from listener.state.store import Keeper


@dataclass(frozen=True, slots=True)
class Findings:
    """What a session begins with: by the number of the kind, its index; and what is to be done."""

    current: tuple[Current | None, ...]
    plans: tuple[Plan, ...]


class Planner:
    """Compares what was saved with what is there. One for the process."""

    def __init__(
        self,
        scope: Scope,
        asked: Asked,
        *,
        control: ControlDocument,
        indexes: Indexes,
        keeper: Keeper,
        lookout: Lookout,
        meanings: Meanings,
        auditor: Auditor,
        connections: Connections,
        observe: Observe,
    ) -> None:
        """`asked` holds for the first session; `auditor` is told what each session begins with."""
        self._scope = scope
        self._asked = asked
        self._take = asked.force
        self._control = control
        self._indexes = indexes
        self._keeper = keeper
        self._past = SearchPast(indexes, lookout, observe)
        self._meanings = meanings
        self._auditor = auditor
        self._needs = Needs(scope.pipeline, indexes, keeper, observe)
        self._connections = connections
        self._observe = observe

    def begin(self, connection: Connection) -> Findings:
        """Look at both servers. The first call decides where the watermark starts.

        What is to be compared is part of the same state as the new identity, which would not tell
        it any more: whatever fails from here on, the next session finds it there.

        Raises ForeignState at the first call where what was saved is of another database,
        ForeignIndex where an alias or the pipeline's name is another database's, and QueriesWrong
        where the queries mean something else by now and do not fit the database. Errors of both
        clients pass through.
        """
        self._control.prepare()
        facts = identity.read(connection, self._scope.watches, self._scope.schema)
        settings = session_settings.settings_now(connection)
        meanings = self._meanings.read(connection)
        if self._keeper.begun:
            self._meanings.distrust(meanings)  # before anything can fail
        control = self._control.read()
        if control.damage is not None:
            self._observe(events.ControlDamaged(control.damage))
        saved: State | None
        if self._keeper.begun:
            saved = self._keeper.state
            ownership.refuse_taken(self._indexes, self._scope, control, facts, saved.identity)
        elif self._asked.force:
            saved = None
        else:
            saved = ownership.starting_point(
                self._keeper.saved(), control.state, facts, self._scope.pipeline, self._observe
            )
        database = Database(*facts.key, connection.info.dbname)
        ownership.claim(self._indexes, self._scope, database, saved, take=self._take)
        if saved is not None:
            saved = of_these_kinds(saved, self._scope.kinds)
        behind = {kind.index: self._past.behind(kind.index) for kind in self._scope.kinds}
        astray: dict[str, str] = {}
        if saved is not None:
            saved, astray = self._past.left_astray(saved, control.generation, behind)
        search = self._past.look(
            saved, control, facts, {alias: one.index for alias, one in behind.items()}
        )
        saved = search.state
        known = saved.identity if saved else None
        pruned = journal.pruned_below(connection, self._scope.schema)
        reasons = self._reasons(saved, facts, pruned) if saved else []
        altered = self._meanings.altered(known, meanings) if known else {}
        session = Session(
            self._asked,
            facts,
            known,
            reasons,
            pruned,
            search.back,
            because={**astray, **altered, **search.back},
            owed=saved.reconcile if saved else {},
        )
        new = self._identity(facts, known, meanings).model_copy(
            update={"marks": search.marks, "control": control.seq_no}
        )
        due = comparisons_due(session, self._scope.kinds)
        if saved is None or reasons:
            begins = State(last_processed=None, identity=new, reconcile=due)
        else:
            begins = State(
                last_processed=saved.last_processed,
                identity=new,
                # pages that were read under another meaning are stale
                loads=tuple(load for load in saved.loads if load.index not in altered),
                loaded={name: at for name, at in saved.loaded.items() if name not in search.back},
                reconcile=due,
            )
        if known is not None and altered:
            self._meanings.judge(connection, begins, known, meanings, altered)
        self._keeper.begin(begins)
        self._connections.use(settings)
        self._auditor.begin(facts)
        for reason in reasons:
            self._observe(events.HistoryChanged(reason))
        found = [self._needs.look(one, behind[one.index], session) for one in self._scope.kinds]
        self._asked = Asked()
        self._keeper.save(now=True)
        self._control.accept(control)  # what it told is written down: it may be written over
        return Findings(
            tuple(current for current, _ in found),
            tuple(plan for _, plan in found if plan is not None),
        )

    def _reasons(self, saved: State, facts: Facts, pruned: datetime | None) -> list[str]:
        """Why the database's history is not the one that the saved watermark speaks of."""
        last = saved.last_processed
        reasons = identity.differences(saved.identity, facts, last, self._scope.overlap)
        if pruned is not None and last is not None and last < pruned:
            reasons.append(f"the journal was pruned up to {pruned}, after the watermark")
        return reasons

    def _identity(
        self, facts: Facts, known: Identity | None, meanings: Mapping[str, Meaning]
    ) -> Identity:
        return Identity(
            pipeline=self._scope.pipeline,
            system_identifier=facts.system_identifier,
            timeline=facts.timeline,
            database_oid=facts.database_oid,
            db_schema=facts.schema,
            wal_lsn=facts.wal_lsn,
            nonce=known.nonce if known else facts.nonce or "",
            config_hash="-".join(kind.hash for kind in self._scope.kinds),
            tables=dict(facts.tables),
            triggers=facts.triggers,
            ahead=facts.ahead,
            indexes=dict(known.indexes) if known else {},
            meanings=meanings,
        )


def of_these_kinds(saved: State, kinds: Sequence[Kind]) -> State:
    """What was saved, without what it says of documents that the last session did not have, or
    that this one does not have.

    The watermark moves on while a document is not in the configuration, or is one of another
    query, for whose changes alone it speaks then. What its index has missed is not known:
    when it returns it is loaded. So it must be forgotten as soon as a session begins without it,
    and by the first session that finds it where an older release did not forget.
    """
    mine = {kind.index for kind in kinds}
    same = {kind.index for kind in kinds if kind.hash in saved.identity.fed}
    indexes = {name: uuid for name, uuid in saved.identity.indexes.items() if name in same}
    return saved.model_copy(
        update={
            "identity": saved.identity.model_copy(update={"indexes": indexes}),
            "loads": tuple(load for load in saved.loads if load.index in same),
            "loaded": {name: at for name, at in saved.loaded.items() if name in same},
            "reconcile": {name: one for name, one in saved.reconcile.items() if name in mine},
        }
    )


def comparisons_due(session: Session, kinds: Sequence[Kind]) -> dict[str, bool]:
    """By alias, the comparisons that are due, and whether they may delete any number."""
    due = dict(session.owed)
    repair = session.asked.repair
    if session.known is not None and identity.another_past(session.known, session.facts):
        # what was found of the database before is no word on this one: it may be half restored
        due = dict.fromkeys(due, False)
    if session.reasons or repair is not None:
        due = {one.index: due.get(one.index, False) for one in kinds}
    for index in session.because:
        # where Elasticsearch went back the database is the one that it was: what the index
        # alone has was deleted there
        deleted = index in session.back and not session.reasons
        due[index] = due.get(index, False) or deleted
    return dict.fromkeys(due, True) if repair else due

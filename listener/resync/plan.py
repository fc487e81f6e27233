"""What a session begins with: its state, and which documents are loaded or compared.

The order of the steps is the point of this module. What is doubtful is written down before anything
can fail, and the new identity is saved together with the comparisons that it makes necessary: the
next session would find no difference any more that tells of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listener.documents.connections import Connections
from listener.documents.kinds import Kind
from listener.indexing.fence import Current
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.audit import Auditor
from listener.resync.meanings import Meanings
from listener.resync.needs import Need, Needs
from listener.resync.scope import Scope
from listener.resync.survey import Survey, Surveyor
from listener.state import identity
from listener.state.model import Identity, State
from listener.state.store import Keeper


@dataclass(frozen=True, slots=True)
class Findings:
    """What a session begins with: by the number of the kind, its index; and what is to be done."""

    current: tuple[Current | None, ...]
    needs: tuple[Need, ...]


class Planner:
    """Compares what was saved with what is there. One for the process."""

    def __init__(
        self,
        scope: Scope,
        *,
        surveyor: Surveyor,
        needs: Needs,
        keeper: Keeper,
        meanings: Meanings,
        auditor: Auditor,
        connections: Connections,
        observe: Observe,
    ) -> None:
        """`auditor` and `connections` are told what each session begins with."""
        self._scope = scope
        self._surveyor = surveyor
        self._needs = needs
        self._keeper = keeper
        self._meanings = meanings
        self._auditor = auditor
        self._connections = connections
        self._observe = observe

    def begin(self, connection: Connection) -> Findings:
        """Look at both servers, and begin with what is found.

        What is to be compared is part of the same state as the new identity, which would not tell
        it any more: whatever fails from here on, the next session finds it there.

        Raises what Surveyor.look raises, and QueriesWrong where the queries mean something else by
        now and do not fit the database. Errors of both clients pass through.
        """
        survey = self._surveyor.look(connection)
        begins = self._begins(survey)
        if survey.known is not None and survey.altered:
            self._meanings.judge(connection, begins, survey.known, survey.meanings, survey.altered)
        self._keeper.begin(begins)
        self._connections.use(survey.settings)
        self._auditor.begin(survey.facts)
        for reason in survey.reasons:
            self._observe(events.HistoryChanged(reason))
        found = [self._needs.look(kind, survey) for kind in self._scope.kinds]
        self._keeper.save(now=True)
        self._surveyor.accept(survey)
        return Findings(
            tuple(current for current, _ in found),
            tuple(need for _, need in found if need is not None),
        )

    def _begins(self, survey: Survey) -> State:
        """The state that the session begins with."""
        saved = survey.saved
        new = self._identity(survey)
        due = comparisons_due(survey, self._scope.kinds)
        if saved is None or survey.reasons:
            return State(last_processed=None, identity=new, reconcile=due)
        return State(
            last_processed=saved.last_processed,
            identity=new,
            # pages that were read under another meaning are stale
            loads=tuple(load for load in saved.loads if load.index not in survey.altered),
            loaded={name: at for name, at in saved.loaded.items() if name not in survey.back},
            reconcile=due,
        )

    def _identity(self, survey: Survey) -> Identity:
        facts, known = survey.facts, survey.known
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
            meanings=survey.meanings,
            marks=survey.marks,
            control=survey.control.seq_no,
        )


def comparisons_due(survey: Survey, kinds: Sequence[Kind]) -> dict[str, bool]:
    """By alias, the comparisons that are due, and whether they may delete any number."""
    due = dict(survey.owed)
    repair = survey.asked.repair
    if survey.known is not None and identity.another_past(survey.known, survey.facts):
        # what was found of the database before is no word on this one: it may be half restored
        due = dict.fromkeys(due, False)
    if survey.reasons or repair is not None:
        due = {one.index: due.get(one.index, False) for one in kinds}
    for index in survey.because:
        # where Elasticsearch went back the database is the one that it was: what the index
        # alone has was deleted there
        deleted = index in survey.back and not survey.reasons
        due[index] = due.get(index, False) or deleted
    return dict.fromkeys(due, True) if repair else due

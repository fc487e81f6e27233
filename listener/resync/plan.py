"""What a session begins with: its state, and which documents are loaded or compared.

The order of the steps is the point of this module. The new identity is saved together with the
comparisons that it makes necessary. Once it is saved, the next session finds no difference any more
that would tell of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from listener.documents.connections import Connections
from listener.documents.kinds import Kind
from listener.indexing.feeds import Current
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.audit import Auditor
from listener.resync.giving_up import GivenUp, given_up
from listener.resync.meanings import Meanings
from listener.resync.needs import Need, Needs
from listener.resync.scope import Scope
from listener.resync.survey import Survey, Surveyor
from listener.state import identity
from listener.state.model import Identity, State
from listener.state.store import Keeper


@dataclass(frozen=True, slots=True)
class Findings:
    """What a session begins with. By entry of `documents`: `current`, the index in use; `kept`, the
    former one that is fed."""

    current: tuple[Current | None, ...]
    needs: tuple[Need, ...]
    kept: tuple[Current | None, ...] = ()


class Planner:
    """Decides what a session begins with. One for the process."""

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

        Raises what Surveyor.look raises, and QueriesWrong where the queries mean something else by
        now and do not fit the database. Errors of both clients pass through.
        """
        survey = self._surveyor.look(connection)
        due = comparisons_due(survey, self._scope.kinds)
        gone = given_up(survey, self._scope, due)
        begins = self._begins(survey, due, gone)
        files = {kind.index for kind in self._scope.kinds}
        if survey.known is not None and not files.isdisjoint(survey.altered):
            self._meanings.judge(connection, begins, survey.known, survey.meanings, survey.altered)
        self._keeper.begin(begins)
        self._connections.use(survey.settings)
        self._auditor.begin(survey.facts)
        for reason in survey.reasons:
            self._observe(events.HistoryChanged(reason))
        for alias, one in gone.items():
            told = events.FormerExpired if one.expired else events.FormerGivenUp
            self._observe(told(alias, one.physical, one.reason))
        found = [self._needs.look(kind, survey) for kind in self._scope.kinds]
        self._keeper.save(now=True)
        self._surveyor.accept(survey)
        return Findings(
            tuple(current for current, _ in found),
            tuple(need for _, need in found if need is not None),
            tuple(self._kept(kind.index, survey) for kind in self._scope.kinds),
        )

    def _kept(self, alias: str, survey: Survey) -> Current | None:
        """The former index that is fed."""
        former = survey.formers.get(alias)
        if former is None or alias not in self._keeper.kept:
            return None
        return Current(former.name, former.hash)

    def _begins(
        self, survey: Survey, due: Mapping[str, bool], gone: Mapping[str, GivenUp]
    ) -> State:
        """The state that the session begins with."""
        saved = survey.saved
        new = self._identity(survey, {one.physical for one in gone.values()})
        if saved is None:
            return State(last_processed=None, identity=new, reconcile=due)
        reasons = {alias: one.reason for alias, one in gone.items()}
        unkept = {**saved.unkept, **reasons}
        if survey.reasons:
            return State(
                last_processed=None,
                identity=new,
                reconcile=due,
                unkept=unkept,
                rolled_back=saved.rolled_back,
            )
        # pages that were read under another meaning are stale
        loads = tuple(load for load in saved.loads if load.index not in survey.altered)
        waiting = {load.physical for load in loads if load.done}
        return State(
            last_processed=saved.last_processed,
            identity=new,
            loads=loads,
            # kept until the load is weighed once more: a person may accept it meanwhile
            refused={a: one for a, one in saved.refused.items() if one.physical in waiting},
            loaded={name: at for name, at in saved.loaded.items() if name not in survey.back},
            reconcile=due,
            kept={name: one for name, one in saved.kept.items() if name not in gone},
            unkept=unkept,
            rolled_back=saved.rolled_back,
        )

    def _identity(self, survey: Survey, gone: Collection[str]) -> Identity:
        """`gone`: names of indexes that are not looked at any more."""
        facts, known = survey.facts, survey.known
        return Identity(
            pipeline=self._scope.pipeline,
            system_identifier=facts.system_identifier,
            timeline=facts.timeline,
            database_oid=facts.database_oid,
            db_schema=facts.schema,
            wal_lsn=facts.wal_lsn,
            nonce=known.nonce if known else facts.nonce or "",
            line=known.line if known else None,
            renewals=known.renewals if known else None,
            config_hash="-".join(
                dict.fromkeys(kind.hash for kind in (*self._scope.kinds, *self._scope.others))
            ),
            tables=dict(facts.tables),
            triggers=facts.triggers,
            ahead=facts.ahead,
            indexes=dict(known.indexes) if known else {},
            meanings=survey.meanings,
            marks={name: one for name, one in survey.marks.items() if name not in gone},
            control=survey.control.seq_no,
        )


def comparisons_due(survey: Survey, kinds: Sequence[Kind]) -> dict[str, bool]:
    """By alias, the comparisons that are due, and whether they may delete any number."""
    due = dict(survey.owed)
    repair = survey.asked.repair
    if survey.known is not None and identity.another_past(survey.known, survey.facts):
        # another past of the database may be half restored: a former word does not hold for it
        due = dict.fromkeys(due, False)
    if survey.reasons or repair is not None:
        due = {one.index: due.get(one.index, False) for one in kinds}
    for index in survey.because:
        # Elasticsearch went back and the database did not: what only the index has was deleted
        deleted = index in survey.back and not survey.reasons
        due[index] = due.get(index, False) or deleted
    return dict.fromkeys(due, True) if repair else due

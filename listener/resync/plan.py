"""What a new session finds: whose history this is, and which documents must be loaded anew."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from listener import triggers
from listener.capture import journal
from listener.changes import PayloadError, Watch, canonical_key
from listener.documents import meaning
from listener.documents.kinds import Kind
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.lookout import Lookout, Seen, marked
from listener.search.indexes import Database, Existing, ForeignIndex, IndexError_, Indexes
from listener.state import identity
from listener.state.control import Control, ControlDocument
from listener.state.file import Identity, Load, Mark, State
from listener.state.identity import Facts
from listener.state.store import Keeper

ALTERED: Final = "altered"
"""Instead of the fingerprint's hash: no fingerprint is equal to it."""
NAMED: Final = 3
_INDEX_NAME: Final = re.compile(r"[a-z0-9-]+")
"""What follows the alias in the name of an index of ours."""


class ForeignState(Exception):
    """state.yaml or the control document belongs to another database or pipeline."""


def refuse_foreign(place: str, saved: Identity, key: tuple[str, int, str], pipeline: str) -> None:
    """Raises ForeignState where what was saved at a place is not of this database (`key`: as of
    Facts) and pipeline.
    """
    other = identity.other_database(saved, key)
    if saved.pipeline != pipeline:
        other = f"it belongs to the pipeline {saved.pipeline!r}"
    if other is not None:
        raise ForeignState(
            f"{place}: {other}. If this database is the right one, run `listener load`: it "
            "loads everything into a new index and starts a new state. Otherwise mend "
            "section postgres, or give the pipeline another name"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a kind of document needs, and why.

    A load into a new index (`resume` is one that was begun before), or, where the index is good
    but may have missed changes, a comparison; `unguarded`: that may delete any number; `blind`:
    changes that were not recorded may be committed later, which a load may miss as well.
    """

    kind: Kind
    reason: str
    resume: Load | None = None
    compare: bool = False
    unguarded: bool = False
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Current:
    """The index that is fed now; `lenient` where it is of an older mapping or query."""

    name: str
    lenient: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What a session begins with."""

    current: tuple[Current | None, ...]
    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What a session finds of Elasticsearch, beside what was saved of it.

    `back`: by alias, why its index is not as it was left. `state` is what was saved, with the
    watermark and the loads set back to what is certain. `marks`: what the indexes are now.
    """

    state: State | None
    back: Mapping[str, str]
    marks: Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class _Session:
    """What a session that begins has found.

    `facts`: what the database says. `known`: the identity that was saved. `reasons`: why the
    database's history is another one.
    By alias: `back`, why its index is not as it was left; `because`, why its documents are compared
    (`back`, or what the query means, or where writes went); `owed`, comparisons that were due
    before, and whether they may delete any number.
    """

    facts: Facts
    known: Identity | None
    reasons: Sequence[str]
    back: Mapping[str, str]
    because: Mapping[str, str]
    owed: Mapping[str, bool]


class History:
    """Compares what was saved with what is there. One for the process."""

    def __init__(
        self,
        *,
        pipeline: str,
        watches: Sequence[Watch],
        schema: str,
        kinds: Sequence[Kind],
        saved: Callable[[], State | None],
        force: bool,
        repair: bool | None,
        overlap: timedelta,
        control: ControlDocument,
        indexes: Indexes,
        keeper: Keeper,
        lookout: Lookout,
        judge: Callable[[Connection, bool], None],
        wrong: Callable[[Connection], Sequence[str]],
        observe: Observe,
    ) -> None:
        """`judge` looks at the SQL files as the start did (True: a session did since then),
        and raises where they do not fit the database. `wrong`: what is not as it should be with the
        triggers. `saved`: reads state.yaml.

        `force`: load everything, whatever was saved. `repair`: compare everything once; True:
        delete any number.
        """
        self._pipeline = pipeline
        self._watches = watches
        self._schema = schema
        self._kinds = kinds
        self._saved = saved
        self._force = self._take = force
        self._repair = repair
        self._overlap = overlap
        self._control = control
        self._indexes = indexes
        self._keeper = keeper
        self._lookout = lookout
        self._judge = judge
        self._wrong = wrong
        self._observe = observe
        self._begun = False
        self._nonce: str | None = None
        self._fingerprint: Mapping[str, str] = {}
        """What the triggers and tables were at the last look that found them unaltered."""
        self._settings: Mapping[str, str] = {}
        """Of our session: what changes the result of a query."""
        self._role: str | None = None
        self._pruned: datetime | None = None
        """Below it the journal was pruned."""

    def begin(self, connection: Connection) -> Findings:
        """Look at both servers. The first call decides where the watermark starts.

        What is to be compared is part of the same state as the new identity, which would not tell
        it any more: whatever fails from here on, the next session finds it there.

        Raises ForeignState at the first call where what was saved is of another database, and what
        `judge` raises where the queries mean something else by now.
        """
        self._control.prepare()
        facts = identity.read(connection, self._watches, self._schema)
        settings = meaning.settings_now(connection)
        meanings = self._meanings(connection)
        if self._begun:
            self._distrust_meanings(meanings)  # before anything can fail
        control = self._control.read()
        if control.damage is not None:
            self._observe(events.ControlDamaged(control.damage))
        if self._begun:
            saved: State | None = self._keeper.state
            self._refuse_taken(control, facts)
        else:
            saved = self._starting_point(control, facts)
        self._claim(connection, facts, saved)
        if saved is not None:
            saved = self._of_these_kinds(saved)
        behind = {kind.index: self._behind(kind.index) for kind in self._kinds}
        astray: dict[str, str] = {}
        if saved is not None:
            saved, astray = self._left_astray(saved, control, behind)
        search = self._look_at_search(
            saved, control, facts, {index: one for index, (one, _) in behind.items()}
        )
        saved = search.state
        known = saved.identity if saved else None
        self._pruned = journal.pruned_below(connection, self._schema)
        reasons = self._reasons(saved, facts) if saved else []
        fresh = saved is None or bool(reasons)
        altered = self._redefined(known, meanings) if known else {}
        session = _Session(
            facts,
            known,
            reasons,
            search.back,
            because={**astray, **altered, **search.back},
            owed=saved.reconcile if saved else {},
        )
        begins = State(
            last_processed=None if fresh or saved is None else saved.last_processed,
            identity=self._identity(facts, known, meanings).model_copy(
                update={"marks": search.marks, "control": control.seq_no}
            ),
            # pages that were read under another meaning are stale
            loads=()
            if fresh or saved is None
            else tuple(load for load in saved.loads if load.index not in altered),
            loaded={}
            if fresh or saved is None
            else {name: at for name, at in saved.loaded.items() if name not in search.back},
            reconcile=self._due(session),
        )
        if known is not None and altered:
            self._judge_meanings(connection, begins, _distrusted(known, meanings, altered))
        self._keeper.begin(begins)
        self._settings = settings
        self._nonce = facts.nonce
        self._begun = True
        self._fingerprint = facts.fingerprint
        for reason in reasons:
            self._observe(events.HistoryChanged(reason))
        current: list[Current | None] = []
        plans: list[Plan] = []
        for kind in self._kinds:
            found, plan = self._look(kind, behind[kind.index], session)
            current.append(found)
            if plan is not None:
                plans.append(plan)
        self._force = False
        self._repair = None
        self._keeper.save(now=True)
        self._control.accept(control)  # what it told is written down: it may be written over
        return Findings(tuple(current), tuple(plans))

    def _judge_meanings(
        self, connection: Connection, begins: State, distrusted: Mapping[str, meaning.Meaning]
    ) -> None:
        """Raises what `judge` does: another meaning may read tables that nobody watches, and no
        session begins with it before somebody says what is to become of them.

        Keys that are heard meanwhile are written by it, and it may be put back. So all that is to
        be compared is written down first, and the meaning as none that is known: whatever the next
        session finds is to be judged, too.
        """
        again, self._begun = self._begun, True
        unlike = begins.identity.model_copy(update={"meanings": distrusted})
        self._keeper.begin(begins.model_copy(update={"identity": unlike}))
        self._keeper.save(now=True)
        try:
            self._judge(connection, again)
        except BaseException:
            self._keeper.save_control(now=True)  # for whoever starts elsewhere
            raise

    def audit(self, connection: Connection, loading: Collection[int] = ()) -> str | None:
        """Whether triggers, tables and indexes are still what they were: None, or what is not.

        `loading`: kinds whose index is being replaced already. Leaves a new nonce in the database
        where all is well.
        """
        altered = self.audit_database(connection)
        altered = altered or self._audit_indexes(loading) or self._audit_shards()
        if altered is not None:
            return altered
        # for a snapshot of a volume at work: no session ends for it
        self.renew(connection)
        return None

    def _audit_indexes(self, loading: Collection[int]) -> str | None:
        """Whether aliases, mappings and settings are what they were; None: they are."""
        known = self._keeper.identity
        for kind in self._kinds:
            expected = known.indexes.get(kind.index)
            if expected is None or kind.number in loading:
                continue  # a load is under way
            try:
                behind = self._indexes.behind(kind.index)
            except IndexError_ as error:
                return str(error)
            if behind is None or behind.uuid != expected:
                return f"{kind.index}: the alias does not lead to the index that it led to"
            if not self._indexes.is_ours(behind):
                return f"{kind.index}: {behind.name} does not say any more that it is ours"
            altered = self._altered_index(behind, known)
            if altered is not None:
                return f"{kind.index}: {altered}"
        return None

    def _audit_shards(self) -> str | None:
        """Whether the indexes are those that we left; None: they are, and that is noted."""
        settled = self._keeper.last_processed
        marks = self._keeper.identity.marks
        loads = {load.physical: load for load in self._keeper.loads}
        for name, seen in self._lookout.look(marks, marks).items():
            if seen.change.back is not None:
                return f"{name}: {seen.change.back}"
            if seen.change.restarted:
                return f"Elasticsearch was started anew, and may lack what {name} was sent last"
            if seen.shards:
                certain = None if self._unsettled(name, loads) else settled
                now = marked(marks[name], seen, certain, None, loads.get(name))
                self._keeper.mark(name, now, instead_of=marks[name])
        return None

    def _unsettled(self, name: str, loads: Collection[str]) -> bool:
        """Whether this index lacks what the watermark speaks of: it is loaded, or compared."""
        due = self._keeper.reconcile if self._begun else {}
        return name in loads or any(name.startswith(f"{alias}-") for alias in due)

    def _altered_index(self, found: Existing, known: Identity | None) -> str | None:
        """What is wrong with mapping or settings of an index: by what was noted of them, and
        whatever was noted, where a document would be lost or changed by them."""
        if found.fault is not None:
            return f"{found.name}: {found.fault.what}"
        mark = known.marks.get(found.name) if known else None
        if mark is not None and mark.mapping and mark.mapping != found.mapping:
            return f"mapping or settings of {found.name} were altered"
        return None

    def audit_database(self, connection: Connection) -> str | None:
        """The same for triggers and tables alone: for when Elasticsearch is not to be asked."""
        found = triggers.fingerprint(connection, self._watches, self._schema)
        if identity.trigger_hash(found) != self._keeper.identity.triggers:
            self.distrust()
            return self._altered(found)
        redefined = self._audit_meanings(connection)
        if redefined is not None:
            return redefined
        wrong = self._wrong(connection)
        if wrong:
            self.distrust()
            return wrong[0]
        return None

    def distrust(self) -> None:
        """What records changes was found altered: the next session compares, whatever it finds.

        Written down, since it may be put back as it was before anybody can begin a session.
        """
        if self._begun:
            self._keeper.identify(triggers=ALTERED)
            self._keeper.save(now=True)

    def distrust_index(self, document: int) -> None:
        """The index of this document cannot be mended: the next session loads it anew."""
        self._keeper.distrust_index(self._kinds[document].index)

    def _audit_meanings(self, connection: Connection) -> str | None:
        """Whether the queries still mean the same: None, or what does not."""
        found = self._distrust_meanings(self._meanings(connection))
        return "; ".join(f"{index}: {what}" for index, what in found.items()) or None

    def _distrust_meanings(self, meanings: Mapping[str, meaning.Meaning]) -> dict[str, str]:
        """By index, what its queries do not mean any more.

        Written down, since it may be put back as it was before anybody can begin a session.
        """
        known = self._keeper.identity
        found = self._redefined(known, meanings)
        if found:
            self._keeper.identify(meanings=_distrusted(known, meanings, found))
            self._keeper.save(now=True)
        return found

    def settled(self, connection: Connection) -> bool:
        """Whether the settings that the session of this connection began with are those that new
        ones get; ask again with a new connection where they are not."""
        found = meaning.role_settings(connection)
        settled, self._role = found == self._role, found
        return settled

    def settle(self, connection: Connection) -> None:
        """Give another connection the settings of our session: two that read documents must not
        mean different things by one query, whichever was made last."""
        meaning.apply(connection, self._settings)

    def _altered(self, found: Mapping[str, str]) -> str:
        """What was altered since the last look, in words."""
        before = self._fingerprint
        names = sorted(name for name in {*before, *found} if before.get(name) != found.get(name))
        if not names:
            return "triggers or watched tables were altered"
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"altered, and may have missed changes: {', '.join(names[:NAMED])}{more}"

    def seen(self, lsn: str) -> None:
        """Remember how far the WAL has come."""
        self._keeper.identify(wal_lsn=lsn)

    def _starting_point(self, control: Control, facts: Facts) -> State | None:
        """state.yaml, else the control document; where both exist the smaller watermark counts."""
        if self._force:
            return None
        saved, remote = self._saved(), control.state
        for place, one in (("state.yaml", saved), ("the control document", remote)):
            if one is not None:
                refuse_foreign(place, one.identity, facts.key, self._pipeline)
        if saved is None or remote is None:
            chosen = saved or remote
        else:
            # the one whose nonce stands in the database was left by the last one at work
            mine, its = (facts.nonce in one.identity.nonce.split() for one in (saved, remote))
            chosen = saved if mine or not its else remote
            if mine == its:
                moments = [one.last_processed for one in (saved, remote) if one.last_processed]
                if moments and saved.last_processed is not None:
                    # the smaller counts: safe, and at most some seconds of repeated work
                    chosen = saved.model_copy(update={"last_processed": min(moments)})
        if chosen is remote and remote is not None and remote.last_processed is not None:
            why = "there is no state.yaml" if saved is None else "state.yaml is an older one"
            self._observe(events.StateFromControl(remote.last_processed, why))
        return chosen

    def _claim(self, connection: Connection, facts: Facts, saved: State | None) -> None:
        """Say whose documents the indexes hold, and take the names. Raises ForeignIndex.

        Where another database answers a daemon at work, which is found and compared, the indexes
        of the one before are still its own.
        """
        self._indexes.database = Database(
            facts.system_identifier, facts.database_oid, self._schema, connection.info.dbname
        )
        if saved is not None:
            known = saved.identity
            self._indexes.formers.add((known.system_identifier, known.database_oid, self._schema))
        for kind in self._kinds:
            self._indexes.protect(kind.index, take=self._take)

    def _refuse_taken(self, control: Control, facts: Facts) -> None:
        """Raises ForeignIndex where another database took the pipeline's name meanwhile."""
        try:
            remote = control.state
        except ValueError:
            return
        if remote is None:
            return
        its, ours = remote.identity, self._keeper.identity
        schema = its.db_schema or self._schema
        theirs = (its.system_identifier, its.database_oid, schema)
        # the one before us, which this daemon has replaced, and could not write down there yet
        if theirs not in self._indexes.formers and theirs not in (
            (ours.system_identifier, ours.database_oid, self._schema),
            (facts.system_identifier, facts.database_oid, self._schema),
        ):
            raise ForeignIndex(
                f"the control document of the pipeline {self._pipeline!r} belongs to another "
                f"database now, or to another schema of ours in it (oid {theirs[1]} of cluster "
                f"{theirs[0]}, schema {schema}). If that one was moved here, end this daemon; "
                "otherwise give one of the two pipelines another name"
            )

    def _behind(self, index: str) -> tuple[Existing | None, str]:
        """The index behind the alias, or why it cannot be told."""
        try:
            return self._indexes.behind(index), ""
        except IndexError_ as error:
            return None, str(error)

    def _left_astray(
        self,
        saved: State,
        control: Control,
        behind: Mapping[str, tuple[Existing | None, str]],
    ) -> tuple[State, dict[str, str]]:
        """Whether the write aliases of the last generation are as it made them: the next one will
        remove them, and nobody looked since the last audit. What was saved, without the indexes
        that only a load mends; and by alias, why documents must be compared.
        """
        compared: dict[str, str] = {}
        scattered: set[str] = set()
        known = {*saved.identity.indexes, *(load.index for load in saved.loads)}
        for alias, (found, _) in behind.items():
            if not control.generation:
                continue
            # while there is no index yet, its first load may be under way
            current = found.name if found is not None else None
            astray = self._indexes.left_astray(alias, control.generation, current)
            if astray is not None and astray.scattered:
                scattered.add(alias)
                if alias in known:  # else the audit has found and told it
                    self._observe(events.AuditFailed(f"{alias}: {astray.what}"))
            elif astray is not None and found is not None:
                compared[alias] = astray.what
        indexes = {
            alias: uuid for alias, uuid in saved.identity.indexes.items() if alias not in scattered
        }
        saved = saved.model_copy(
            update={
                "identity": saved.identity.model_copy(update={"indexes": indexes}),
                "loads": tuple(load for load in saved.loads if load.index not in scattered),
            }
        )
        return saved, compared

    def _look_at_search(
        self,
        saved: State | None,
        control: Control,
        facts: Facts,
        behind: Mapping[str, Existing | None],
    ) -> Search:
        """Whether Elasticsearch went back, and to what it is certain."""
        known = saved.identity if saved else None
        marks = known.marks if known else {}
        ours = {alias: one for alias, one in behind.items() if one and self._indexes.is_ours(one)}
        loads = saved.loads if saved else ()
        names = {one.name for one in ours.values()} | {load.physical for load in loads}
        seen = self._lookout.look(names, marks)
        why = _control_back(control, known, facts)
        back = dict.fromkeys(ours, why) if why is not None else {}
        since: list[datetime] = []
        for alias, one in ours.items():
            change, mark = seen[one.name].change, marks.get(one.name)
            expected = known.indexes.get(alias) if known else None
            if change.back is not None:
                back[alias] = f"{one.name}: {change.back}"
            elif expected and expected != one.uuid and mark and mark.mapping == one.mapping:
                back[alias] = f"{one.name} was deleted, and is there again"
            elif change.restarted and mark is not None:
                if mark.settled is None:
                    back[alias] = f"{one.name}: Elasticsearch was started anew"
                else:
                    since.append(mark.settled)
        kept = tuple(self._kept(loads, behind, seen, marks, back=back, everything=why))
        if saved is not None:
            last = saved.last_processed
            if last is not None and since:
                last = min(last, *since)
                self._observe(events.SearchRestarted(last))
            saved = saved.model_copy(update={"last_processed": last, "loads": kept})
        for alias, reason in back.items():
            self._observe(events.IndexWentBack(alias, reason))
        settled = saved.last_processed if saved else None
        mappings = {one.name: one.mapping for one in ours.values()}
        under_way = {load.physical: load for load in kept}
        owed = {one.name for alias, one in ours.items() if saved and alias in saved.reconcile}
        new: dict[str, Mark] = {}
        for name in names:
            before = marks.get(name, Mark())
            new[name] = marked(
                Mark() if seen[name].change.back else before,
                seen[name],
                None if name in under_way or name in owed else settled,
                before.mapping or mappings.get(name, ""),
                under_way.get(name),
            )
        return Search(saved, back, new)

    def _kept(
        self,
        loads: Sequence[Load],
        behind: Mapping[str, Existing | None],
        seen: Mapping[str, Seen],
        marks: Mapping[str, Mark],
        *,
        back: dict[str, str],
        everything: str | None,
    ) -> Iterator[Load]:
        """The loads that go on, each from where it is certain. One whose index stands behind the
        alias already is `back` with it. `everything`: why no index is what it was.
        """
        for load in loads:
            change, mark = seen[load.physical].change, marks.get(load.physical)
            there = behind.get(load.index)
            if there is not None and there.name == load.physical:
                if change.restarted:
                    back.setdefault(load.index, f"{there.name}: Elasticsearch was started anew")
                yield load
            elif change.back is not None or everything is not None:
                told = f"{load.physical}: {change.back}" if change.back else str(everything)
                self._observe(events.IndexWentBack(load.index, told))
            elif change.restarted and mark is not None:
                done = {"after": mark.after, "documents": mark.documents, "done": False}
                yield load.model_copy(update=done)
            else:
                yield load

    def _of_these_kinds(self, saved: State) -> State:
        """What was saved, without what it says of documents that the last session did not have, or
        that this one does not have.

        The watermark moves on while a document is not in the configuration, or is one of another
        query, for whose changes alone it speaks then. What its index has missed nobody knows: when
        it returns it is loaded. So it must be forgotten as soon as a session begins without it, and
        by whoever finds it where that session was of a release that did not forget.
        """
        fed = saved.identity.config_hash.split("-")
        mine = {kind.index for kind in self._kinds}
        same = {kind.index for kind in self._kinds if kind.hash in fed}
        indexes = {name: uuid for name, uuid in saved.identity.indexes.items() if name in same}
        return saved.model_copy(
            update={
                "identity": saved.identity.model_copy(update={"indexes": indexes}),
                "loads": tuple(load for load in saved.loads if load.index in same),
                "loaded": {name: at for name, at in saved.loaded.items() if name in same},
                "reconcile": {name: one for name, one in saved.reconcile.items() if name in mine},
            }
        )

    def _due(self, session: _Session) -> dict[str, bool]:
        """By alias, the comparisons that are due, and whether they may delete any number."""
        due = dict(session.owed)
        if session.known is not None and identity.another_past(session.known, session.facts):
            # what was found of the database before is no word on this one: it may be half restored
            due = dict.fromkeys(due, False)
        if session.reasons or self._repair is not None:
            due = {one.index: due.get(one.index, False) for one in self._kinds}
        for index in session.because:
            # where Elasticsearch went back the database is the one that it was: what the index
            # alone has was deleted there
            deleted = index in session.back and not session.reasons
            due[index] = due.get(index, False) or deleted
        return dict.fromkeys(due, True) if self._repair else due

    def _reasons(self, saved: State, facts: Facts) -> list[str]:
        reasons = identity.differences(saved.identity, facts, saved.last_processed, self._overlap)
        pruned = self._pruned
        if (
            pruned is not None
            and saved.last_processed is not None
            and saved.last_processed < pruned
        ):
            reasons.append(f"the journal was pruned up to {pruned}, after the watermark")
        return reasons

    def renew(self, connection: Connection) -> None:
        """Leave a new nonce in the database: what was copied before and is put back later holds an
        older one. At each session, when its generation is raised, and at each audit.

        State and control document know both nonces before the database has the new one: a crash in
        between is no other history, wherever the next daemon starts from. Where the generation is
        not ours any more, the nonce is no business of ours either.
        """
        nonce = str(uuid.uuid4())
        self._keeper.identify(nonce=f"{self._nonce or ''} {nonce}".strip())
        self._keeper.save(now=True)
        if not self._keeper.save_control(now=True):
            return
        identity.renew_nonce(connection, self._schema, nonce)
        self._nonce = nonce
        self._keeper.identify(nonce=nonce)  # from here on the former one is of another history
        self._keeper.save(now=True)
        self._keeper.save_control(now=True)

    def _identity(
        self, facts: Facts, known: Identity | None, meanings: Mapping[str, meaning.Meaning]
    ) -> Identity:
        return Identity(
            pipeline=self._pipeline,
            system_identifier=facts.system_identifier,
            timeline=facts.timeline,
            database_oid=facts.database_oid,
            db_schema=facts.schema,
            wal_lsn=facts.wal_lsn,
            nonce=known.nonce if known else facts.nonce or "",
            config_hash="-".join(kind.hash for kind in self._kinds),
            tables=dict(facts.tables),
            triggers=facts.triggers,
            ahead=facts.ahead,
            indexes=dict(known.indexes) if known else {},
            meanings=meanings,
        )

    def _meanings(self, connection: Connection) -> dict[str, meaning.Meaning]:
        texts = {kind.index: kind.source.texts for kind in self._kinds}
        return meaning.read(connection, self._watches, texts)

    def _redefined(
        self, known: Identity, meanings: Mapping[str, meaning.Meaning]
    ) -> dict[str, str]:
        """By index, why its queries mean something else than what it was written by.

        A former release did not look: what was altered by then, or with the upgrade, is found by
        comparing once. What an edited query depends on anew, or no more, is the edit's own: it is
        loaded for that.
        """
        found: dict[str, str] = {}
        fed = known.config_hash.split("-")
        edited = {kind.index for kind in self._kinds if kind.hash not in fed}
        for index, now in meanings.items():
            before = known.meanings.get(index)
            if before is not None and index in edited:
                what = meaning.altered(
                    {name: before[name] for name in before.keys() & now.keys()},
                    {name: now[name] for name in before.keys() & now.keys()},
                )
            elif before is not None:
                what = meaning.altered(before, now)
            else:
                what = "nobody looked yet at what its query depends on"
            if what is not None:
                found[index] = what
        return found

    def _look(
        self, kind: Kind, found: tuple[Existing | None, str], session: _Session
    ) -> tuple[Current | None, Plan | None]:
        """The index behind the alias, and whether its documents must be loaded anew."""
        behind, concrete = found
        known, reasons = session.known, session.reasons
        current: Current | None = None
        if behind is not None and behind.pipeline == self._pipeline:
            current = Current(behind.name, lenient=behind.hash != kind.hash)
        unfinished = None if reasons else self._unfinished(kind, session.facts)
        expected = known.indexes.get(kind.index) if known else None
        blind = bool(reasons) or kind.index in session.owed
        if (
            unfinished is not None
            and unfinished.done
            and behind is not None
            and unfinished.physical == behind.name
        ):
            # the swap was done, by us just before the end or by hand; the state was not yet saved
            due = self._keeper.reconcile.get(kind.index)
            self._keeper.load_is_done(unfinished, behind.uuid)
            if due is None or kind.index not in {*session.back, *session.owed}:
                return current, None
            self._keeper.want_reconcile(kind.index, unguarded=due)
            expected, unfinished = behind.uuid, None
        reason = concrete or self._why_load(
            kind, behind, current, session, expected=expected, unfinished=unfinished
        )
        if reason is not None:
            if expected and (behind is None or behind.uuid != expected):
                self._observe(events.IndexVanished(kind.index, reason))
            return current, Plan(kind, reason, unfinished, blind=blind)
        if behind is not None:
            self._indexes.adopt(behind)
            self._keeper.index_is(kind.index, behind.uuid)
        unguarded = self._keeper.reconcile.get(kind.index, False)
        if reasons:
            reason = "another history"
        elif kind.index in session.because:
            reason = session.because[kind.index]
        elif kind.index in session.owed:
            reason = "it was interrupted"
        elif self._repair is not None:
            reason = "asked for"
        elif self._keeper.last_processed is None:
            reason = "there is no proven watermark"
        else:
            return current, None
        return current, Plan(kind, reason, compare=True, unguarded=unguarded, blind=blind)

    def _why_load(
        self,
        kind: Kind,
        behind: Existing | None,
        current: Current | None,
        session: _Session,
        *,
        expected: str | None,
        unfinished: Load | None,
    ) -> str | None:
        """Why a new index is needed; None: the one behind the alias is good."""
        if behind is None:
            reason = "the index or its alias is gone" if expected else "there is no index yet"
        elif current is None:
            reason = f"the alias leads to {behind.name}, which is not of this pipeline"
        elif current.lenient:
            reason = "mapping, query or watched tables have changed"
        elif self._force:
            reason = "asked for"
        elif expected is None:
            reason = "no saved state speaks of this index"
        elif (altered := self._altered_index(behind, session.known)) is not None:
            reason = altered
        elif expected != behind.uuid and kind.index not in session.back:
            reason = f"{behind.name} is another index than before"
        elif unfinished is not None:
            reason = "it was interrupted"
        else:
            return None
        return reason

    def _unfinished(self, kind: Kind, facts: Facts) -> Load | None:
        """A load that was begun before, whose index is still there and still what it must be."""
        for load in self._keeper.loads:
            if load.index == kind.index:
                if self._may_go_on(kind, load, facts):
                    found = self._indexes.get(load.physical)
                    if (
                        found
                        and found.hash == kind.hash
                        and self._indexes.is_ours(found)
                        and self._altered_index(found, self._keeper.identity) is None
                    ):
                        return load
                self._keeper.drop_load(kind.index)
        return None

    def _may_go_on(self, kind: Kind, load: Load, facts: Facts) -> bool:
        """Whether what was written down of a load is what we write, and the sweeps that go with it
        can reach back to its start."""
        if not _INDEX_NAME.fullmatch(load.physical.removeprefix(f"{kind.index}-")):
            return False
        if self._pruned is not None and load.started_at < self._pruned:
            return False
        try:
            after = None if load.after is None else canonical_key(load.after, kind.source.types)
        except PayloadError:
            return False
        return after == load.after and load.started_at <= facts.now


def _distrusted(
    known: Identity, now: Mapping[str, meaning.Meaning], altered: Collection[str]
) -> dict[str, meaning.Meaning]:
    """The meanings of before, where those of altered indexes will differ from any other."""
    before = known.meanings
    differ = {index: meaning.distrusted(before.get(index, {}), now[index]) for index in altered}
    return {**before, **differ}


def _control_back(control: Control, known: Identity | None, facts: Facts) -> str | None:
    """Why the control document is not the one that we left: then neither is any index, for all
    that is known. None: it is."""
    if known is None:
        return None
    if known.control is not None:
        if control.seq_no is None:
            return "the control document is gone, and Elasticsearch may have gone back with it"
        if control.seq_no < known.control:
            return "the control document is an older one: Elasticsearch went back"
        return None
    # of a former release: what is in the database was left in the control document, too
    ours = facts.nonce is not None and facts.nonce in known.nonce.split()
    saved = control.content.get("identity")
    if ours and isinstance(saved, Mapping) and facts.nonce not in str(saved.get("nonce")).split():
        return "the control document is an older one: Elasticsearch went back"
    return None

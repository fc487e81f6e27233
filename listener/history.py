"""What a new session finds: whose history this is, and which documents must be loaded anew."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg import sql

from listener import identity, observations, triggers
from listener.changes import PayloadError, Watch, canonical_key
from listener.control import Control, ControlDocument
from listener.identity import Facts
from listener.indexes import Existing, IndexError_, Indexes
from listener.keeper import Keeper
from listener.loader import Kind
from listener.observations import Observe
from listener.postgres import Connection
from listener.state import Identity, Load, State

TRUNCATED: Final = "TRUNCATE"
"""Reason of a journal row that a TRUNCATE wrote."""
ASKED: Final = "verify --repair"
ALLOWED: Final = "verify --repair --allow-deletes"
"""Reasons of journal rows that a person asked for."""
ALTERED: Final = "altered"
"""Instead of the fingerprint's hash: no fingerprint is equal to it."""
NAMED: Final = 3
_INDEX_NAME: Final = re.compile(r"[a-z0-9-]+")
"""What follows the alias in the name of an index of ours."""


class ForeignState(Exception):
    """state.yaml or the control document belongs to another database or pipeline."""


def refuse_foreign(place: str, saved: Identity, facts: Facts, pipeline: str) -> None:
    """Raises ForeignState where what was saved at a place is not of this database and pipeline."""
    other = identity.other_database(saved, facts)
    if saved.pipeline != pipeline:
        other = f"it belongs to the pipeline {saved.pipeline!r}"
    if other is not None:
        raise ForeignState(
            f"{place}: {other}. If this database is the right one, run `listener load`: it "
            "loads everything into a new index and starts a new state. Otherwise mend the "
            "connection, or give the pipeline another name"
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
        wrong: Callable[[Connection], Sequence[str]],
        observe: Observe,
    ) -> None:
        """`wrong`: what is not as it should be with the triggers. `saved`: reads state.yaml.

        `force`: load everything, whatever was saved. `repair`: compare everything once; True:
        delete any number.
        """
        self._pipeline = pipeline
        self._watches = watches
        self._schema = schema
        self._kinds = kinds
        self._saved = saved
        self._force = force
        self._repair = repair
        self._overlap = overlap
        self._control = control
        self._indexes = indexes
        self._keeper = keeper
        self._wrong = wrong
        self._observe = observe
        self._begun = False
        self._nonce: str | None = None
        self._mappings: dict[str, str] = {}
        """By index UUID, what its mapping was when it was first looked at."""
        self._fingerprint: Mapping[str, str] = {}
        """What the triggers and tables were at the last look that found them unaltered."""
        self._pruned: datetime | None = None
        """Below it the journal was pruned."""

    def begin(self, connection: Connection) -> Findings:
        """Look at both servers. The first call decides where the watermark starts.

        What is to be compared is part of the same state as the new identity, which would not tell
        it any more: whatever fails from here on, the next session finds it there.

        Raises ForeignState at the first call where what was saved is of another database.
        """
        self._control.prepare()
        for kind in self._kinds:
            self._indexes.protect(kind.index)
        facts = identity.read(connection, self._watches, self._schema)
        control = self._control.read()
        if control.damage is not None:
            self._observe(observations.ControlDamaged(control.damage))
        if self._begun:
            saved: State | None = self._keeper.state
        else:
            saved = self._starting_point(control, facts)
        if saved is not None:
            saved = self._of_these_kinds(saved)
        known = saved.identity if saved else None
        self._pruned = self._pruned_below(connection)
        reasons = self._reasons(saved, facts) if saved else []
        fresh = saved is None or bool(reasons)
        before: Mapping[str, bool] = {} if saved is None else saved.reconcile
        due = dict(before)
        if reasons or self._repair is not None:
            due = {one.index: before.get(one.index, False) for one in self._kinds}
        if self._repair:
            due = dict.fromkeys(due, True)
        self._keeper.begin(
            State(
                last_processed=None if fresh or saved is None else saved.last_processed,
                identity=self._identity(facts, known),
                loads=() if fresh or saved is None else saved.loads,
                loaded={} if fresh or saved is None else saved.loaded,
                reconcile=due,
            )
        )
        self._nonce = facts.nonce
        self._begun = True
        self._fingerprint = facts.fingerprint
        for reason in reasons:
            self._observe(observations.HistoryChanged(reason))
        current: list[Current | None] = []
        plans: list[Plan] = []
        for kind in self._kinds:
            found, plan = self._look(kind, known, reasons, facts, interrupted=kind.index in before)
            current.append(found)
            if plan is not None:
                plans.append(plan)
        self._force = False
        self._repair = None
        self._keeper.save(now=True)
        return Findings(tuple(current), tuple(plans))

    def audit(self, connection: Connection, loading: Collection[int] = ()) -> str | None:
        """Whether triggers, tables and indexes are still what they were: None, or what is not.

        `loading`: kinds whose index is being replaced already. Leaves a new nonce in the database
        where all is well.
        """
        altered = self.audit_database(connection)
        if altered is not None:
            return altered
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
            if self._mappings.setdefault(behind.uuid, behind.mapping) != behind.mapping:
                return f"{kind.index}: mapping or settings of {behind.name} were altered"
        # for a snapshot of a volume at work: no session ends for it
        self.renew(connection)
        return None

    def audit_database(self, connection: Connection) -> str | None:
        """The same for triggers and tables alone: for when Elasticsearch is not to be asked."""
        found = triggers.fingerprint(connection, self._watches, self._schema)
        if identity.trigger_hash(found) != self._keeper.identity.triggers:
            self.distrust()
            return self._altered(found)
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
                refuse_foreign(place, one.identity, facts, self._pipeline)
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
            self._observe(observations.StateFromControl(remote.last_processed, why))
        return chosen

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

    def _pruned_below(self, connection: Connection) -> datetime | None:
        row = connection.execute(
            # an infinite one is no moment of Python's
            sql.SQL(
                "SELECT LEAST(GREATEST(pruned_below, '0002-01-01 UTC'), '9998-01-01 UTC') FROM {}"
            ).format(sql.Identifier(self._schema, "meta"))
        ).fetchone()
        pruned: datetime | None = row[0] if row else None
        return pruned

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

    def _identity(self, facts: Facts, known: Identity | None) -> Identity:
        return Identity(
            pipeline=self._pipeline,
            system_identifier=facts.system_identifier,
            timeline=facts.timeline,
            database_oid=facts.database_oid,
            wal_lsn=facts.wal_lsn,
            nonce=known.nonce if known else facts.nonce or "",
            config_hash="-".join(kind.hash for kind in self._kinds),
            tables=dict(facts.tables),
            triggers=facts.triggers,
            ahead=facts.ahead,
            indexes=dict(known.indexes) if known else {},
        )

    def _look(
        self,
        kind: Kind,
        known: Identity | None,
        reasons: Sequence[str],
        facts: Facts,
        *,
        interrupted: bool,
    ) -> tuple[Current | None, Plan | None]:
        """The index behind the alias, and whether its documents must be loaded anew.

        `interrupted`: a comparison of them was due before.
        """
        behind: Existing | None = None
        concrete = ""
        try:
            behind = self._indexes.behind(kind.index)
        except IndexError_ as error:
            concrete = str(error)
        current: Current | None = None
        if behind is not None and behind.pipeline == self._pipeline:
            current = Current(behind.name, lenient=behind.hash != kind.hash)
        unfinished = None if reasons else self._unfinished(kind, facts)
        blind = bool(reasons) or interrupted
        if (
            unfinished is not None
            and unfinished.done
            and behind is not None
            and unfinished.physical == behind.name
        ):
            # the swap was done, by us just before the end or by hand; the state was not yet saved
            self._keeper.load_is_done(unfinished, behind.uuid)
            return current, None
        expected = known.indexes.get(kind.index) if known else None
        reason = concrete or self._why_load(behind, current, expected, unfinished)
        if reason is not None:
            if expected and (behind is None or behind.uuid != expected):
                self._observe(observations.IndexVanished(kind.index, reason))
            return current, Plan(kind, reason, unfinished, blind=blind)
        unguarded = self._keeper.reconcile.get(kind.index, False)
        if reasons:
            reason = "another history"
        elif interrupted:
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
        behind: Existing | None,
        current: Current | None,
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
        elif self._mappings.setdefault(behind.uuid, behind.mapping) != behind.mapping:
            reason = f"mapping or settings of {behind.name} were altered"
        elif expected != behind.uuid:
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
                    if found and found.hash == kind.hash and found.pipeline == self._pipeline:
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


def prune(connection: Connection, schema: str, below: datetime) -> None:
    """Remove journal rows below this moment, and record it in the same statement."""
    connection.execute(
        sql.SQL(
            "WITH gone AS (DELETE FROM {journal} WHERE updated_at < {below} RETURNING 1) "
            "UPDATE {meta} SET pruned_below = {below} "
            "WHERE (pruned_below IS NULL OR pruned_below < {below}) AND EXISTS (SELECT FROM gone)"
        ).format(
            journal=sql.Identifier(schema, "journal"),
            meta=sql.Identifier(schema, "meta"),
            below=sql.Literal(below),
        )
    )

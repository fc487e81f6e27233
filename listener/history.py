"""What a new session finds: whose history this is, and which documents must be loaded anew."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg import sql

from listener import identity, meaning, observations, triggers
from listener.changes import Watch
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
    changes that were not recorded may be committed later.
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
        self._settings: Mapping[str, str] = {}
        """Of our session: what changes the result of a query."""
        self._role: str | None = None

    def begin(self, connection: Connection) -> Findings:
        """Look at both servers. The first call decides where the watermark starts.

        Raises ForeignState at the first call where what was saved is of another database.
        """
        self._control.prepare()
        for kind in self._kinds:
            self._indexes.protect(kind.index)
        facts = identity.read(connection, self._watches, self._schema)
        self._settings = meaning.settings_now(connection)
        meanings = self._meanings(connection)
        if self._begun:
            saved: State | None = self._keeper.state
        else:
            saved = self._starting_point(self._control.read(), facts)
        known = saved.identity if saved else None
        reasons = self._reasons(connection, saved, facts) if saved else []
        fresh = saved is None or bool(reasons)
        owed = dict(saved.reconcile) if saved else {}
        altered = self._redefined(known, meanings) if known else {}
        self._keeper.begin(
            State(
                last_processed=None if fresh or saved is None else saved.last_processed,
                identity=self._identity(facts, known, meanings),
                # pages that were read under another meaning are stale
                loads=()
                if fresh or saved is None
                else tuple(load for load in saved.loads if load.index not in altered),
                loaded={} if fresh or saved is None else saved.loaded,
                # written down with the new meaning, at once: a crash must not forget either
                reconcile=dict.fromkeys(altered, False) | owed,
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
            found, plan = self._look(kind, known, reasons, altered, owed)
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

    def _audit_meanings(self, connection: Connection) -> str | None:
        """Whether the queries still mean the same: None, or what does not.

        Written down, since it may be put back as it was before anybody can begin a session.
        """
        known = self._keeper.identity.meanings
        meanings = self._meanings(connection)
        found = self._redefined(self._keeper.identity, meanings)
        if not found:
            return None
        before = {index: known.get(index, {}) for index in found}
        distrusted = {index: meaning.distrusted(before[index], meanings[index]) for index in found}
        self._keeper.identify(meanings={**known, **distrusted})
        self._keeper.save(now=True)
        return "; ".join(f"{index}: {what}" for index, what in found.items())

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

    def _reasons(self, connection: Connection, saved: State, facts: Facts) -> list[str]:
        reasons = identity.differences(saved.identity, facts, saved.last_processed, self._overlap)
        row = connection.execute(
            sql.SQL("SELECT pruned_below FROM {}").format(sql.Identifier(self._schema, "meta"))
        ).fetchone()
        pruned: datetime | None = row[0] if row else None
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
        comparing once.
        """
        found: dict[str, str] = {}
        for index, now in meanings.items():
            before = known.meanings.get(index)
            if before is None:
                found[index] = "nobody looked yet at what its query depends on"
            elif (what := meaning.altered(before, now)) is not None:
                found[index] = what
        return found

    def _look(
        self,
        kind: Kind,
        known: Identity | None,
        reasons: Sequence[str],
        altered: Mapping[str, str],
        owed: Mapping[str, bool],
    ) -> tuple[Current | None, Plan | None]:
        """The index behind the alias, and whether its documents must be loaded anew."""
        behind: Existing | None = None
        concrete = ""
        try:
            behind = self._indexes.behind(kind.index)
        except IndexError_ as error:
            concrete = str(error)
        current: Current | None = None
        if behind is not None and behind.pipeline == self._pipeline:
            current = Current(behind.name, lenient=behind.hash != kind.hash)
        unfinished = None if reasons else self._unfinished(kind)
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
            return current, Plan(kind, reason, unfinished)
        due = self._keeper.reconcile.get(kind.index)
        unguarded = bool(due or self._repair)
        if reasons:
            reason = "another history"
        elif kind.index in altered:
            reason = altered[kind.index]
        elif due is not None:
            reason = "it was interrupted"
        elif self._repair is not None:
            reason = "asked for"
        elif self._keeper.last_processed is None:
            reason = "there is no proven watermark"
        else:
            return current, None
        blind = bool(reasons) or kind.index in owed
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

    def _unfinished(self, kind: Kind) -> Load | None:
        """A load that was begun before, whose index is still there and still what it must be."""
        for load in self._keeper.loads:
            if load.index == kind.index:
                found = self._indexes.get(load.physical)
                if found and found.hash == kind.hash and found.pipeline == self._pipeline:
                    return load
                self._keeper.drop_load(kind.index)
        return None


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

"""The survey: what a session finds at both servers, and what holds still of what was saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from listener.capture import journal
from listener.documents import session_settings
from listener.documents.kinds import Kind
from listener.documents.meaning import Meaning
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync import formers as formers_
from listener.resync import ownership
from listener.resync.meanings import Meanings
from listener.resync.scope import Scope
from listener.resync.went_back import Behind, SearchPast
from listener.search.existing import Existing
from listener.search.indexes import Indexes
from listener.search.owners import Database
from listener.state import identity
from listener.state.control import Control, ControlDocument
from listener.state.identity import Facts
from listener.state.model import Identity, Mark, State
from listener.state.store import Keeper


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked of this run.

    `force`: load everything, whatever was saved. `repair`: compare everything once; True: delete
    any number of documents for it. `load`: load the indexes of these aliases. `accept`: by
    alias, the index that waits for a person's word, and has it now. `rollback`: by alias, the
    former index to go back to, so that nothing is loaded for that alias before.
    """

    force: bool = False
    repair: bool | None = None
    load: frozenset[str] = frozenset()
    accept: Mapping[str, str] = field(default_factory=dict)
    rollback: Mapping[str, str] = field(default_factory=dict)

    def loads(self, alias: str) -> bool:
        """Whether the index of this alias is to be loaded."""
        return self.force or alias in self.load


@dataclass(frozen=True, slots=True)
class Survey:
    """What a session that begins has found.

    - `facts`: what the database says of itself. `settings`: those of its session, which documents
      are read with. `pruned`: below this moment the journal was pruned.
    - `control`: the control document as it was read.
    - `saved`: what was saved, with watermark and loads set back to what is certain; None: nothing
      was. `reasons`: why the database's history is not the one that it speaks of.
    - `marks`: by the name of an index, what it is now.

    By alias: `behind`, the index behind it; `astray`, how writes went elsewhere; `back`, why its
    index is not as it was left; `formers`, the index that writes to the former one led to, and
    `former_back`, why that one is not as it was left. By the name of a definition, as of Meanings:
    `meanings`, what its queries depend on; `altered`, why they mean something else.
    """

    asked: Asked
    facts: Facts
    settings: Mapping[str, str]
    pruned: datetime | None
    control: Control
    saved: State | None
    reasons: Sequence[str]
    marks: Mapping[str, Mark]
    behind: Mapping[str, Behind]
    meanings: Mapping[str, Meaning]
    astray: Mapping[str, str]
    altered: Mapping[str, str]
    back: Mapping[str, str]
    formers: Mapping[str, Existing] = field(default_factory=dict)
    former_back: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> Identity | None:
        """The identity that was saved."""
        return None if self.saved is None else self.saved.identity

    @property
    def owed(self) -> Mapping[str, bool]:
        """By alias, comparisons that were due before, and whether they may delete any number."""
        return {} if self.saved is None else self.saved.reconcile

    @property
    def because(self) -> Mapping[str, str]:
        """By alias, why its documents are compared, as far as one index alone is the reason."""
        altered = {name.partition(".")[0]: what for name, what in self.altered.items()}
        return {**self.astray, **altered, **self.back}


class Surveyor:
    """Looks at both servers when a session begins. One for the process."""

    def __init__(
        self,
        scope: Scope,
        asked: Asked,
        *,
        control: ControlDocument,
        indexes: Indexes,
        keeper: Keeper,
        past: SearchPast,
        meanings: Meanings,
        observe: Observe,
    ) -> None:
        """`asked` holds for the first session. Only that it takes aliases, and what new indexes may
        lose, holds for all of them."""
        self._scope = scope
        self._asked = asked
        self._take = asked.force
        self._control = control
        self._indexes = indexes
        self._keeper = keeper
        self._past = past
        self._meanings = meanings
        self._observe = observe

    def look(self, connection: Connection) -> Survey:
        """Look, and take the names of the aliases.

        The first call decides where the watermark starts, and raises ForeignState where what was
        saved is of another database. Raises ForeignIndex where an alias or the pipeline's name is
        another database's. Errors of both clients pass through.
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
        saved = self._saved(control, facts)
        database = Database(*facts.key, connection.info.dbname)
        ownership.claim(self._indexes, self._scope, database, saved, take=self._take)
        behind = {kind.index: self._past.behind(kind.index) for kind in self._scope.kinds}
        if saved is not None:
            saved = of_these_kinds(saved, self._scope.kinds, behind)
        formers: Mapping[str, Existing] = {}
        if saved is not None and (self._scope.keep_former or saved.kept):
            formers = self._formers()
            saved = formers_.as_they_are(saved, self._scope, behind, formers, facts.now)
        astray: Mapping[str, str] = {}
        if saved is not None:
            saved, astray = self._past.left_astray(saved, control.generation, behind)
        search = self._past.look(
            saved,
            control,
            facts,
            {alias: one.index for alias, one in behind.items()},
            formers_.kept_of(saved, formers),
        )
        saved = search.state
        pruned = journal.pruned_below(connection, self._scope.schema)
        remote = control.state.identity if control.state is not None else None
        outdated = saved is not None and identity.is_outdated(saved.identity, remote, facts)
        if saved is not None and outdated:
            saved = _unproven_if_pruned(saved, pruned)
        return Survey(
            asked=self._asked,
            facts=facts,
            settings=settings,
            pruned=pruned,
            control=control,
            saved=saved,
            reasons=self._reasons(saved, facts, pruned, outdated) if saved else [],
            marks=search.marks,
            behind=behind,
            meanings=meanings,
            astray=astray,
            altered=self._meanings.altered(saved.identity, meanings) if saved else {},
            back=search.back,
            formers=formers,
            former_back=search.former_back,
        )

    def _formers(self) -> dict[str, Existing]:
        """By alias, the index that writes to the former one led to."""
        found = ((kind.index, self._indexes.former(kind.index)) for kind in self._scope.kinds)
        return {alias: one for alias, one in found if one is not None}

    def accept(self, survey: Survey) -> None:
        """The state with what was found is saved. So the control document may be written over, and
        what a person asked for is not asked for again.
        """
        self._asked = Asked(accept=self._asked.accept)  # a swap may come in a later session
        self._control.accept(survey.control)

    def _saved(self, control: Control, facts: Facts) -> State | None:
        """What was saved: by this process, or by the one before."""
        if self._keeper.begun:
            saved = self._keeper.state
            ownership.refuse_taken(self._indexes, self._scope, control, facts, saved.identity)
            return saved
        if self._asked.force:
            return None
        return ownership.starting_point(
            self._keeper.saved(), control.state, facts, self._scope.pipeline, self._observe
        )

    def _reasons(
        self, saved: State, facts: Facts, pruned: datetime | None, outdated: bool
    ) -> list[str]:
        """Why the database's history is not the one that the saved watermark speaks of."""
        last = saved.last_processed
        reasons = identity.differences(
            saved.identity, facts, last, self._scope.overlap, outdated=outdated
        )
        if pruned is not None and last is not None and last < pruned:
            reasons.append(f"the journal was pruned up to {pruned}, after the watermark")
        return reasons


def _unproven_if_pruned(saved: State, pruned: datetime | None) -> State:
    """An outdated state, without its watermark where the journal was pruned since. That is no sign
    against the database, and all is compared anyway."""
    if pruned is None or saved.last_processed is None or saved.last_processed >= pruned:
        return saved
    return saved.model_copy(update={"last_processed": None})


def of_these_kinds(saved: State, kinds: Sequence[Kind], behind: Mapping[str, Behind]) -> State:
    """What was saved, but for document kinds that this session does not have, and for indexes and
    loads that the last session did not feed by their own definition.

    `kinds`: of the files as they are. While an index is not fed, or by another query than its own,
    the watermark moves on without it. What it has missed is not known: it is loaded when it is to
    be used again. So a session that begins without it forgets it. An older release did not forget;
    then the first session that finds the kind again does. Of an index that somebody has put in the
    place of the one in use nothing was saved: that the one in use is gone is known, and told.
    """
    mine = {kind.index for kind in kinds}
    loads = {kind.index for kind in kinds if kind.hash in saved.identity.fed}
    same = set(loads)
    for alias, there in behind.items():
        if there.index is None:
            continue
        kept = saved.kept[alias].uuid if alias in saved.kept else None
        if there.index.hash in saved.identity.fed:
            same.add(alias)
        elif there.index.uuid in {saved.identity.indexes.get(alias), kept}:
            same.discard(alias)
    indexes = {name: uuid for name, uuid in saved.identity.indexes.items() if name in same}
    return saved.model_copy(
        update={
            "identity": saved.identity.model_copy(update={"indexes": indexes}),
            "loads": tuple(load for load in saved.loads if load.index in loads),
            "loaded": {name: at for name, at in saved.loaded.items() if name in same},
            "reconcile": {name: one for name, one in saved.reconcile.items() if name in mine},
            "kept": {name: one for name, one in saved.kept.items() if name in mine},
            "unkept": {name: one for name, one in saved.unkept.items() if name in mine},
            "rolled_back": {name: one for name, one in saved.rolled_back.items() if name in mine},
        }
    )

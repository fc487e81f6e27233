"""What one document kind needs when a session begins: a load, a comparison, or nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from listener.changes import PayloadError, canonical_key
from listener.documents.definition import kept_definition
from listener.documents.kinds import Kind
from listener.documents.topology import Reassemble
from listener.indexing.feeds import Current
from listener.observations import events
from listener.observations.events import Observe
from listener.resync.lookout import altered_index
from listener.resync.scope import Scope
from listener.resync.survey import Survey
from listener.search.existing import Existing
from listener.search.indexes import Indexes
from listener.state.model import Load
from listener.state.store import Keeper

_INDEX_NAME: Final = re.compile(r"[a-z0-9-]+")
"""What follows the alias in the name of an index that listener made."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a document kind needs, and why: a load into a new index, or a comparison.

    `resume`: the load was begun before, and goes on. `compare`: the index is good, but may have
    missed changes. `unguarded`: the comparison may delete any number of documents. `blind`: changes
    that were not recorded may be committed later. A load may miss them, too. `accepted`: the new
    index may lose any number of documents. `once`: that is a person's word, for this index alone.
    """

    kind: Kind
    reason: str
    resume: Load | None = None
    compare: bool = False
    unguarded: bool = False
    blind: bool = False
    accepted: bool = False
    once: bool = True


class Needs:
    """Decides what a document kind needs, and notes a load that is found complete."""

    def __init__(self, scope: Scope, indexes: Indexes, keeper: Keeper, observe: Observe) -> None:
        self._scope = scope
        self._indexes = indexes
        self._keeper = keeper
        self._observe = observe
        self._told: set[str] = set()
        """Aliases of files that are not in force, which was told."""

    def look(self, kind: Kind, survey: Survey) -> tuple[Current | None, Need | None]:
        """The index in use, and what this kind needs; None: no index, or nothing.

        `kind`: of the files as they are. The keeper must have begun with the survey's state. Raises
        Reassemble where the index in use keeps a definition that no kind has. Errors of the client
        pass through.
        """
        behind = survey.behind[kind.index]
        index = behind.index
        known, reasons = survey.known, survey.reasons
        current: Current | None = None
        if index is not None and index.pipeline == self._scope.pipeline:
            current = Current(index.name, self._fed_by(kind, index))
        fed = current is not None and current.hash is not None
        unfinished = None if reasons else self._unfinished(kind, survey)
        expected = known.indexes.get(kind.index) if known else None
        blind = bool(reasons) or kind.index in survey.owed
        if (
            unfinished is not None
            and unfinished.done
            and index is not None
            and unfinished.physical == index.name
        ):
            # listener swapped the alias just before it ended, or a person did: no state says so
            due = self._keeper.reconcile.get(kind.index)
            self._keeper.load_is_done(unfinished, index.uuid)
            if due is None or kind.index not in {*survey.back, *survey.owed}:
                return current, None
            self._keeper.want_reconcile(kind.index, unguarded=due)
            expected, unfinished = index.uuid, None
        reason = behind.problem or self._why_load(
            kind, index, survey, expected=expected, unfinished=unfinished, fed=fed
        )
        if reason is not None:
            if expected and (index is None or index.uuid != expected):
                self._observe(events.IndexVanished(kind.index, reason))
            if not _is_as_left(index, expected, survey):
                self._keeper.doubt_in_use(kind.index)
            accepted = _is_accepted(unfinished, survey)
            return current, Need(kind, reason, unfinished, blind=blind, accepted=accepted)
        if index is not None:
            if index.hash == kind.hash:
                self._indexes.adopt(index, kind.definition.to_json())
                self._keeper.in_force(kind.index)
            elif kind.index not in self._told:
                self._told.add(kind.index)
                rolled = self._keeper.rolled_back.get(kind.index)
                if rolled is not None:
                    self._observe(events.FilesNotInForce(kind.index, rolled.since))
            self._keeper.index_is(kind.index, index.uuid)
        unguarded = self._keeper.reconcile.get(kind.index, False)
        reason = self._why_compare(kind.index, survey)
        if reason is None:
            return current, None
        return current, Need(kind, reason, compare=True, unguarded=unguarded, blind=blind)

    def _why_load(
        self,
        kind: Kind,
        behind: Existing | None,
        survey: Survey,
        *,
        expected: str | None,
        unfinished: Load | None,
        fed: bool,
    ) -> str | None:
        """Why a new index is needed, in words; None: the one behind the alias is good. `fed`: it
        follows the database by its own definition."""
        if behind is None:
            reason = "the index or its alias is gone" if expected else "there is no index yet"
        elif behind.pipeline != self._scope.pipeline:
            reason = f"the alias leads to {behind.name}, which is not of this pipeline"
        elif behind.hash != kind.hash and not (fed and self._stays(kind, survey)):
            reason = "mapping, query or watched tables have changed"
        elif survey.asked.loads(kind.index):
            reason = "asked for"
        elif expected is None:
            reason = "no saved state speaks of this index"
        elif (altered := altered_index(behind, survey.known)) is not None:
            reason = altered
        elif expected != behind.uuid and kind.index not in survey.back:
            reason = f"{behind.name} is another index than before"
        elif unfinished is not None and kind.index not in survey.asked.rollback:
            reason = "it was interrupted"
        else:
            return None
        return reason

    def _stays(self, kind: Kind, survey: Survey) -> bool:
        """Whether the index in use stays, though the files say something else: a person went back
        to it, or is about to go back to the former one."""
        rolled = self._keeper.rolled_back.get(kind.index)
        if rolled is not None and rolled.hash == kind.hash:
            return True
        return kind.index in survey.asked.rollback

    def _fed_by(self, kind: Kind, index: Existing) -> str | None:
        """The hash of the definition that the index in use is fed by. None: it stands still until
        its load takes its place, which is told."""
        if self._scope.kind_of(kind.index, index.hash) is not None:
            return index.hash
        unfit = self._scope.unfit.get(index.hash or "")
        if unfit is None and kept_definition(kind.index, index.definition, index.hash) is not None:
            raise Reassemble(f"the alias {kind.index} leads to {index.name}, of other files")
        why = unfit or "a former release made it, which did not keep its query"
        self._observe(events.IndexStandsStill(kind.index, index.name, why))
        return None

    def _why_compare(self, alias: str, survey: Survey) -> str | None:
        """Why this index may have missed changes, in words; None: it has not."""
        if survey.reasons:
            return "another history"
        if alias in survey.because:
            return survey.because[alias]
        if alias in survey.owed:
            return "it was interrupted"
        if survey.asked.repair is not None:
            return "asked for"
        if self._keeper.last_processed is None:
            return "there is no proven watermark"
        return None

    def _unfinished(self, kind: Kind, survey: Survey) -> Load | None:
        """The load that was begun before, if its index is there and is what it must be. Any other
        one is dropped.
        """
        for load in self._keeper.loads:
            if load.index == kind.index:
                # one that waits for a person's word is not what a person asks for anew
                asked = survey.asked
                anew = load.done and asked.loads(kind.index) and kind.index not in asked.accept
                rolled = self._keeper.rolled_back.get(kind.index)
                if rolled is not None and load.started_at <= rolled.since:
                    anew = True  # a person went back from its files while it was under way
                if not anew and _may_go_on(kind, load, survey):
                    found = self._indexes.get(load.physical)
                    if (
                        found
                        and found.hash == kind.hash
                        and self._indexes.is_ours(found)
                        and altered_index(found, self._keeper.identity) is None
                    ):
                        return load
                self._keeper.drop_load(kind.index)
        return None


def _is_accepted(load: Load | None, survey: Survey) -> bool:
    """Whether a person's word is for this load: for what was seen and told of it. It is no licence
    for another one."""
    return load is not None and survey.asked.accept.get(load.index) == load.physical


def _is_as_left(index: Existing | None, expected: str | None, survey: Survey) -> bool:
    """Whether the index in use lacks nothing, as far as it shows: its load is for other reasons."""
    if index is None or index.uuid != expected:
        return False
    return altered_index(index, survey.known) is None and not survey.reasons


def _may_go_on(kind: Kind, load: Load, survey: Survey) -> bool:
    """Whether this saved load is as listener writes one, and sweeps can reach back to its start."""
    if not _INDEX_NAME.fullmatch(load.physical.removeprefix(f"{kind.index}-")):
        return False
    if survey.pruned is not None and load.started_at < survey.pruned:
        return False
    try:
        after = None if load.after is None else canonical_key(load.after, kind.source.types)
    except PayloadError:
        return False
    return after == load.after and load.started_at <= survey.facts.now

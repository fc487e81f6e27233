"""Whether Elasticsearch is still what the last session left, and what of it is certain.

An index may be an older copy: of a snapshot, or of the data folder of a node. It may have been
deleted and made anew. It may lack what it had acknowledged before Elasticsearch was started anew.
The database is the one that was left, so nothing in it shows what the index lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from listener.observations import events
from listener.observations.events import Observe
from listener.resync.lookout import Lookout, Seen, marked
from listener.search.existing import Existing
from listener.search.index_config import IndexError_
from listener.search.indexes import Indexes
from listener.state import identity
from listener.state.control import Control
from listener.state.identity import Facts
from listener.state.model import Identity, Load, Mark, State


@dataclass(frozen=True, slots=True)
class Behind:
    """The index behind an alias; None: there is none. `problem`: why it cannot be told."""

    index: Existing | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SearchFindings:
    """What a session finds of Elasticsearch, against what was saved of it.

    `state`: what was saved, with watermark and loads set back to what is certain. `back`: by alias,
    why its index is not as it was left; `former_back`: the same of its former index. `marks`: by
    the name of an index, what it is now.
    """

    state: State | None
    back: Mapping[str, str]
    marks: Mapping[str, Mark]
    former_back: Mapping[str, str] = field(default_factory=dict)


class SearchPast:
    """Compares what Elasticsearch holds with what was saved. Errors of the client pass through."""

    def __init__(self, indexes: Indexes, lookout: Lookout, observe: Observe) -> None:
        self._indexes = indexes
        self._lookout = lookout
        self._observe = observe

    def behind(self, alias: str) -> Behind:
        """What stands behind this alias now."""
        try:
            return Behind(self._indexes.behind(alias))
        except IndexError_ as error:
            return Behind(None, str(error))

    def left_astray(
        self, saved: State, generation: int, behind: Mapping[str, Behind]
    ) -> tuple[State, dict[str, str]]:
        """Whether the write aliases of the last generation are as listener made them.

        Nothing has looked at them since the last audit, and the next generation removes them.
        `generation` 0: there was none. Returns what was saved, without indexes that only a load
        mends; and, by alias, why documents must be compared.
        """
        compared: dict[str, str] = {}
        scattered: set[str] = set()
        known = {*saved.identity.indexes, *(load.index for load in saved.loads)}
        for alias, there in behind.items():
            if not generation:
                continue
            # while there is no index yet, its first load may be under way
            current = there.index.name if there.index is not None else None
            astray = self._indexes.left_astray(alias, generation, current)
            if astray is not None and astray.scattered:
                scattered.add(alias)
                if alias in known:  # else the audit has found and told it
                    self._observe(events.AuditFailed(f"{alias}: {astray.what}"))
            elif astray is not None and there.index is not None:
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

    def look(
        self,
        saved: State | None,
        control: Control,
        facts: Facts,
        behind: Mapping[str, Existing | None],
        formers: Mapping[str, Existing],
    ) -> SearchFindings:
        """Whether Elasticsearch went back, and up to which moment it is certain. `formers`: by
        alias, former indexes that are kept."""
        known = saved.identity if saved else None
        marks = known.marks if known else {}
        own = {alias: one for alias, one in behind.items() if one and self._indexes.is_ours(one)}
        loads = saved.loads if saved else ()
        names = {one.name for one in [*own.values(), *formers.values()]}
        loaded = {load.physical for load in loads}
        names |= loaded
        seen = self._lookout.look(names, marks)
        why = control_back(control, known, facts)
        back = dict.fromkeys(own, why) if why is not None else {}
        since: list[datetime] = []
        for alias, one in own.items():
            change, mark = seen[one.name].change, marks.get(one.name)
            expected = known.indexes.get(alias) if known else None
            if change.back is not None:
                back[alias] = f"{one.name}: {change.back}"
            elif (
                expected
                and expected != one.uuid
                and one.name not in loaded  # a swap not written down; anew it had another history
                and mark
                and mark.mapping == one.mapping
            ):
                back[alias] = f"{one.name} was deleted, and is there again"
            elif change.restarted and mark is not None:
                if mark.settled is None:
                    back[alias] = f"{one.name}: Elasticsearch was started anew"
                else:
                    since.append(mark.settled)
        former_back = _former_back(formers, seen, marks, since)
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
        mappings = {one.name: one.mapping for one in own.values()}
        under_way = {load.physical: load for load in kept}
        owed = {one.name for alias, one in own.items() if saved and alias in saved.reconcile}
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
        return SearchFindings(saved, back, new, former_back)

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
        """The loads that go on, each from where it is certain.

        Where the alias leads to a load's index already, that index is in use: if it may lack
        documents, the alias is added to `back`. `everything`: why no index is what it was.
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


def _former_back(
    formers: Mapping[str, Existing],
    seen: Mapping[str, Seen],
    marks: Mapping[str, Mark],
    since: list[datetime],
) -> dict[str, str]:
    """By alias, why its former index is not as it was left. Where it is certain up to a moment,
    that is added to `since`."""
    back: dict[str, str] = {}
    for alias, one in formers.items():
        change, mark = seen[one.name].change, marks.get(one.name)
        if change.back is not None:
            back[alias] = change.back
        elif mark is None or (change.restarted and mark.settled is None):
            back[alias] = "Elasticsearch was started anew"
        elif change.restarted and mark.settled is not None:
            since.append(mark.settled)
    return back


def control_back(control: Control, known: Identity | None, facts: Facts) -> str | None:
    """Why the control document is not the one that was left; None: it is. Where it is not, the
    indexes may not be either.
    """
    if known is None:
        return None
    if known.control is not None:
        if control.seq_no is None:
            return "the control document is gone, and Elasticsearch may have gone back with it"
        remote = control.state.identity if control.state is not None else None
        if control.seq_no < known.control or identity.is_outdated(known, remote, facts):
            return "the control document is an older one: Elasticsearch went back"
        return None
    # a former release left no number: the nonce in the database stands in the control document, too
    saved = control.content.get("identity")
    if (
        known.left(facts.nonce)
        and isinstance(saved, Mapping)
        and facts.nonce not in str(saved.get("nonce")).split()
    ):
        return "the control document is an older one: Elasticsearch went back"
    return None

"""Roles of indexes that changed without being written down, told by their aliases. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from listener.resync.scope import Scope
from listener.resync.went_back import Behind
from listener.search.existing import Existing
from listener.state.model import Kept, RolledBackFiles, State


def as_they_are(
    saved: State,
    scope: Scope,
    behind: Mapping[str, Behind],
    formers: Mapping[str, Existing],
    now: datetime,
) -> State:
    """What was saved, with the roles that a swap or a rollback has given to indexes just before its
    process ended.

    The call that changes the aliases gives the index that was in use a write alias of a former one.
    `formers`: by alias, the index that has it.
    """
    indexes, kept = dict(saved.identity.indexes), dict(saved.kept)
    rolled_back = dict(saved.rolled_back)
    files = {kind.index: kind.hash for kind in scope.kinds}
    for alias, there in behind.items():
        used, before = there.index, kept.get(alias)
        expected = indexes.get(alias)
        if used is None or expected is None or used.uuid == expected:
            continue
        back = before is not None and used.uuid == before.uuid
        if not back and not _is_loaded(saved, alias, used.name):
            continue
        former = formers.get(alias)
        kept.pop(alias, None)
        if former is not None and former.uuid == expected:
            until = now + timedelta(seconds=scope.keep_former)
            kept[alias] = Kept(physical=former.name, uuid=former.uuid, since=now, until=until)
        if back:
            indexes[alias] = used.uuid
            if used.hash != files[alias]:
                rolled_back[alias] = RolledBackFiles(hash=files[alias], since=now)
    identity = saved.identity.model_copy(update={"indexes": indexes})
    update = {"identity": identity, "kept": kept, "rolled_back": rolled_back}
    return saved.model_copy(update=update)


def _is_loaded(saved: State, alias: str, name: str) -> bool:
    """Whether this is the index of a load whose swap was not written down."""
    return any(load.index == alias and load.done and load.physical == name for load in saved.loads)


def kept_of(saved: State | None, formers: Mapping[str, Existing]) -> dict[str, Existing]:
    """By alias, the former indexes that are there as they were kept."""
    kept: Mapping[str, Kept] = {} if saved is None else saved.kept
    return {
        alias: formers[alias]
        for alias, one in kept.items()
        if alias in formers and formers[alias].uuid == one.uuid
    }

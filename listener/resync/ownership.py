"""Ownership: state and indexes that belong to another database or pipeline are refused.

All of this comes before anything is written down: a state that speaks of another database must be
neither used nor overwritten.
"""

from __future__ import annotations

from listener import ListenerError
from listener.observations import events
from listener.observations.events import Observe
from listener.resync.scope import Scope
from listener.search.indexes import Indexes
from listener.search.owners import Database, ForeignIndex
from listener.state import identity
from listener.state.control import Control
from listener.state.identity import Facts
from listener.state.model import Identity, State


class ForeignState(ListenerError):
    """state.yaml or the control document belongs to another database or pipeline."""


def refuse_foreign(place: str, saved: Identity, key: tuple[str, int, str], pipeline: str) -> None:
    """Raises ForeignState where what was saved is of another database or pipeline.

    `place`: where it was saved, in words. `key`: of this database, as of Facts.
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


def starting_point(
    saved: State | None, remote: State | None, facts: Facts, pipeline: str, observe: Observe
) -> State | None:
    """The state that the first session of a process starts from; None: nothing was saved.

    `saved` is state.yaml, `remote` the control document. Of two, the one counts that the last
    daemon at work has left. Where that cannot be told, the smaller watermark counts, and of the two
    identities one by which the database may have gone back. Raises ForeignState where one of them
    is of another database or pipeline.
    """
    for place, one in (("state.yaml", saved), ("the control document", remote)):
        if one is not None:
            refuse_foreign(place, one.identity, facts.key, pipeline)
    if saved is None or remote is None:
        chosen = saved or remote
    else:
        # the last daemon at work left the nonce that stands in the database
        mine, its = (one.identity.left(facts.nonce) for one in (saved, remote))
        outdated, also = (
            identity.is_outdated(one.identity, remote.identity, facts) for one in (saved, remote)
        )
        chosen = remote if not mine and (its or (outdated and not also)) else saved
        if mine == its:
            moments = [one.last_processed for one in (saved, remote) if one.last_processed]
            if moments and chosen.last_processed is not None:
                # the smaller one loses nothing: some seconds of work are repeated
                chosen = chosen.model_copy(update={"last_processed": min(moments)})
    if chosen is remote and remote is not None and remote.last_processed is not None:
        why = "there is no state.yaml" if saved is None else "state.yaml is an older one"
        observe(events.StateFromControl(remote.last_processed, why))
    return chosen


def claim(
    indexes: Indexes, scope: Scope, database: Database, saved: State | None, *, take: bool
) -> None:
    """Say which database's documents the indexes hold, and take the names of the aliases.

    Another database may answer a daemon at work. That is found and compared; the indexes of the
    database before still belong to this daemon. `take`: as of Indexes.protect. Raises ForeignIndex.
    """
    indexes.owner.database = database
    if saved is not None:
        known = saved.identity
        indexes.owner.formers.add((known.system_identifier, known.database_oid, scope.schema))
    for kind in scope.kinds:
        indexes.protect(kind.index, take=take)


def refuse_taken(
    indexes: Indexes, scope: Scope, control: Control, facts: Facts, before: Identity
) -> None:
    """Raises ForeignIndex where another database took the pipeline's name since the last session.

    `before` is the identity of that session.
    """
    remote = control.state
    if remote is None:
        return
    its = remote.identity
    schema = its.db_schema or scope.schema
    theirs = (its.system_identifier, its.database_oid, schema)
    # this daemon may have replaced that database, and not yet have written it down there
    if theirs not in indexes.owner.formers and theirs not in (
        (before.system_identifier, before.database_oid, scope.schema),
        (facts.system_identifier, facts.database_oid, scope.schema),
    ):
        raise ForeignIndex(
            f"the control document of the pipeline {scope.pipeline!r} belongs to another "
            f"database now, or to another schema of listener in it (oid {theirs[1]} of cluster "
            f"{theirs[0]}, schema {schema}). If that one was moved here, end this daemon; "
            "otherwise give one of the two pipelines another name"
        )

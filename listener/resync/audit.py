"""The audit: whether triggers, tables, queries and indexes are still what they were.

A trigger or table that was altered may have missed changes. What shows in the database is written
down at once: it may be put back before a session can begin that compares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from listener import triggers
from listener.postgres import Connection
from listener.resync.lookout import Lookout, altered_index, marked
from listener.resync.meanings import Meanings
from listener.resync.scope import Scope
from listener.search.index_config import IndexError_
from listener.search.index_settings import Fault
from listener.search.indexes import Indexes
from listener.state import identity
from listener.state.identity import Facts
from listener.state.nonce import Nonce
from listener.state.store import Keeper

ALTERED: Final = "altered"
"""Instead of the fingerprint's hash: no fingerprint is equal to it."""
NAMED: Final = 3
"""How many altered triggers and tables are named. The others are counted."""


class TriggerStatus(Protocol):
    """Knows what the triggers should be."""

    def wrong(self, connection: Connection) -> Sequence[str]:
        """What is wrong with the triggers, a sentence each. Raises psycopg.Error, TriggerError."""


class Auditor:
    """Compares database and indexes with what the keeper knows of them. One for the process."""

    def __init__(
        self,
        scope: Scope,
        *,
        keeper: Keeper,
        indexes: Indexes,
        lookout: Lookout,
        meanings: Meanings,
        status: TriggerStatus,
    ) -> None:
        self._scope = scope
        self._keeper = keeper
        self._indexes = indexes
        self._lookout = lookout
        self._meanings = meanings
        self._status = status
        self._nonce = Nonce(keeper, scope.schema)
        self._fingerprint: Mapping[str, str] = {}
        """What the triggers and tables were at the last look that found them unaltered."""

    def begin(self, facts: Facts) -> None:
        """A session begins, with triggers, tables and nonce as they are in these facts."""
        self._nonce.begin(facts)
        self._fingerprint = facts.fingerprint

    def audit(self, connection: Connection, loading: Collection[int] = ()) -> str | None:
        """What is not as it was with triggers, tables, queries and indexes; None: all is.

        `loading`: numbers of the kinds that are being loaded: their index is not looked at. Where
        all is well a new nonce is left in the database. Errors of both clients pass through.
        """
        altered = self.audit_database(connection)
        altered = altered or self.audit_indexes(loading) or self._audit_shards()
        if altered is not None:
            return altered
        # a snapshot of the database's volume ends no session: by the nonce it shows as an older one
        self.renew(connection)
        return None

    def hindrances(self, control: str) -> list[Fault]:
        """What a person must hear of, though nothing is loaded or compared for it. `control`: the
        name of the control document's index. Errors of the client pass through."""
        found = [
            one
            for kind in self._scope.kinds
            for one in self._indexes.hindrances(kind.index, control=False)
        ]
        return [*found, *self._indexes.hindrances(control, control=True)]

    def audit_database(self, connection: Connection) -> str | None:
        """As `audit`, but for the indexes: Elasticsearch is not asked."""
        found = triggers.fingerprint(connection, self._scope.watches, self._scope.schema)
        now = identity.trigger_hash(found)
        if identity.triggers_altered(self._keeper.identity.triggers, now):
            self.distrust()
            return self._altered(found)
        if now != self._keeper.identity.triggers:
            # ANALYZE forgot a child that had come and gone: the next one is to be told again
            self._keeper.identify(triggers=now)
            self._fingerprint = found
        redefined = self._meanings.audit(connection)
        if redefined is not None:
            return redefined
        wrong = self._status.wrong(connection)
        if wrong:
            self.distrust()
            return wrong[0]
        return None

    def audit_indexes(self, loading: Collection[int]) -> str | None:
        """What is not as it was with aliases, mappings and settings; None: all is.

        `loading`: as of `audit`.
        """
        known = self._keeper.identity
        for kind in self._scope.kinds:
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
                return f"{kind.index}: {behind.name} is not marked as this pipeline's any more"
            altered = altered_index(behind, known)
            if altered is not None:
                return f"{kind.index}: {altered}"
        return None

    def renew(self, connection: Connection) -> None:
        """Leave a new nonce in the database. Raises psycopg.Error."""
        self._nonce.renew(connection)

    def distrust(self) -> None:
        """The triggers were found altered: the next session compares, whatever it finds.

        Saved at once, since they may be put back before a session can begin.
        """
        if self._keeper.begun:
            self._keeper.identify(triggers=ALTERED)
            self._keeper.save(now=True)

    def distrust_index(self, number: int) -> None:
        """The index of this document kind cannot be mended: the next session loads a new one."""
        self._keeper.distrust_index(self._scope.kinds[number].index)

    def distrust_former(self, number: int, reason: str) -> None:
        """The former index of this entry of `documents` may lack changes: it is given up."""
        self._keeper.unkeep(self._scope.kinds[number].index, reason)

    def _altered(self, found: Mapping[str, str]) -> str:
        """What was altered since the last look, in words."""
        before = self._fingerprint
        names = sorted(name for name in {*before, *found} if before.get(name) != found.get(name))
        if not names:
            return "triggers or watched tables were altered"
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"altered, and may have missed changes: {', '.join(names[:NAMED])}{more}"

    def _audit_shards(self) -> str | None:
        """Which index lacks what it had, by its shards; None: none, and the shards are noted."""
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
        """Whether the watermark says nothing of this index: it is being loaded, or a comparison of
        it is due.
        """
        due = self._keeper.reconcile
        return name in loads or any(name.startswith(f"{alias}-") for alias in due)

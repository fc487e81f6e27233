"""What the document queries mean: the definitions and settings that their results depend on.

Functions, views and settings may change while no row does. No change is recorded then, and every
document may differ. So all are compared. Where the queries read other tables by now, that waits for
a person's word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from listener.documents import meaning
from listener.documents.kinds import Kind
from listener.documents.meaning import Meaning
from listener.postgres import Connection
from listener.resync.scope import Scope
from listener.state.model import Identity, State
from listener.state.store import Keeper


class Judge(Protocol):
    """Looks at the user's SQL files as the start did."""

    def judge_queries(self, connection: Connection, *, again: bool) -> None:
        """Raises QueriesWrong where the SQL files do not fit the database any more.

        `again`: a session of this process has begun since the start looked.
        """


class Meanings:
    """Compares what the queries depend on with what was saved of it."""

    def __init__(self, scope: Scope, keeper: Keeper, judge: Judge) -> None:
        self._scope = scope
        self._keeper = keeper
        self._judge = judge

    def read(self, connection: Connection) -> dict[str, Meaning]:
        """What the queries of each definition depend on now, by its name: of the files as they are
        the alias, of any other one the alias, a dot and its hash. Raises psycopg.Error."""
        texts = {name: kind.source.texts for name, kind in self._kinds().items()}
        return meaning.read(connection, self._scope.watches, texts)

    def _kinds(self) -> dict[str, Kind]:
        """One kind of each definition, by its name."""
        found = {kind.index: kind for kind in self._scope.kinds}
        for kind in self._scope.others:
            if kind.hash != found[kind.index].hash:
                found[f"{kind.index}.{kind.hash}"] = kind
        return found

    def altered(self, known: Identity, now: Mapping[str, Meaning]) -> dict[str, str]:
        """By name, why the queries of a definition mean something else than when they were read by.

        A former release did not look. What was altered by then, or with the upgrade, is found by
        comparing once. An edited query may depend on other things than before. That says nothing:
        its documents are loaded for the edit.
        """
        found: dict[str, str] = {}
        kinds = self._kinds()
        for index, one in now.items():
            kind = kinds[index]
            files = kinds[kind.index]
            same = files.hash in known.fed
            edited = not same
            # the files may have said this before an edit, or may say it again after one
            before = known.meanings.get(f"{kind.index}.{kind.hash}")
            edited = edited and before is None and kind is files
            # what was fed and has no entry of its own was of the files then
            if before is None and (kind is files or kind.hash in known.fed or not same):
                before = known.meanings.get(kind.index)
            if before is not None and edited:
                what = meaning.altered(
                    {name: before[name] for name in before.keys() & one.keys()},
                    {name: one[name] for name in before.keys() & one.keys()},
                )
            elif before is not None:
                what = meaning.altered(before, one)
            else:
                what = "what its query depends on was not looked at before"
            if what is not None:
                found[index] = what
        return found

    def audit(self, connection: Connection) -> str | None:
        """Which queries mean something else by now, in words; None: none does."""
        found = self.distrust(self.read(connection))
        return "; ".join(f"{index}: {what}" for index, what in found.items()) or None

    def distrust(self, now: Mapping[str, Meaning]) -> dict[str, str]:
        """By name, why the queries of a definition mean something else by now.

        Saved at once, since it may be put back before a session can begin.
        """
        known = self._keeper.identity
        found = self.altered(known, now)
        if found:
            self._keeper.identify(meanings=_distrusted(known, now, found))
            self._keeper.save(now=True)
        return found

    def judge(
        self,
        connection: Connection,
        begins: State,
        known: Identity,
        now: Mapping[str, Meaning],
        altered: Collection[str],
    ) -> None:
        """Look whether the queries still fit the database. Raises QueriesWrong where they do not.

        Another meaning may read tables that are not watched. No session begins with it before a
        person has decided what becomes of them.

        `begins` is the state that the session would begin with, `known` the identity before it.
        Documents of keys that are heard meanwhile have the other meaning, which may be put back. So
        what is to be compared is written down first, with a meaning that equals no other: the next
        session looks again, whatever it finds.
        """
        again = self._keeper.begun
        unlike = begins.identity.model_copy(update={"meanings": _distrusted(known, now, altered)})
        self._keeper.begin(begins.model_copy(update={"identity": unlike}))
        self._keeper.save(now=True)
        try:
            self._judge.judge_queries(connection, again=again)
        except BaseException:
            self._keeper.save_control(now=True)  # for a daemon that starts elsewhere
            raise


def _distrusted(
    known: Identity, now: Mapping[str, Meaning], altered: Collection[str]
) -> dict[str, Meaning]:
    """The meanings of before, but for altered ones: those will differ from any other."""
    before = known.meanings
    differ = {index: meaning.distrusted(before.get(index, {}), now[index]) for index in altered}
    return {**before, **differ}

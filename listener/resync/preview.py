"""A preview: what the files as they are now would index, without a write to anything in use.

Documents are read by the query, compared with the index, and tried in a scratch index.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from listener import search
from listener.changes import Key
from listener.documents import sampling
from listener.documents.causes import Cause, Causes
from listener.documents.kinds import Kind
from listener.documents.spelling import Spelling
from listener.documents.trial import RefusedDocument, ScratchTrial
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.active import ActiveDaemon
from listener.resync.fields import differences
from listener.resync.preview_all import AllDocuments
from listener.resync.preview_page import Look, PageReader
from listener.resync.preview_report import Previewed, PreviewReport, State
from listener.runtime.lifecycle import Stop
from listener.search import exact_json, scratch
from listener.search.bulk import Document
from listener.search.indexes import Indexes

_AT_ONCE: Final = 100
_OTHERS: Final = 20
"""Documents that are read beside one that is refused."""


class Preview:
    """Looks at one document kind. Errors of both clients pass through, QueryFileError where the
    query breaks its contract, IndexError_ where the alias is not ours."""

    def __init__(
        self,
        connection: Connection,
        client: search.Client,
        indexes: Indexes,
        kind: Kind,
        *,
        parked: Container[str],
        daemon: ActiveDaemon,
        observe: Observe,
        stop: Stop,
    ) -> None:
        """`connection`: reads documents, and nothing else is done on it. `parked`: the ids of those
        that are parked now."""
        indexes.refuse_foreign(kind.index)
        self._connection = connection
        self._client = client
        self._kind = kind
        self._parked = parked
        self._daemon = daemon
        self._observe = observe
        self._stop = stop
        self._current = indexes.behind(kind.index)
        name = self._current.name if self._current is not None else None
        self._reader = PageReader(kind.source, connection, client, name)
        self._spelling = Spelling(kind.source.statements, connection)
        self._trial = ScratchTrial(connection, client, indexes.owner, kind, stop)
        self._some_others: list[Any] | None = None

    def some(self, ids: Sequence[str]) -> Iterator[Previewed]:
        """These documents, in this order, each once. Of an id of several parts any spacing will do,
        where the index has nothing under what was written."""
        written = {one: self._spelling.other(one) for one in ids}
        there = self._reader.stored([one for one, other in written.items() if other is not None])
        asked = list(
            dict.fromkeys(
                one if other is None or one in there else other for one, other in written.items()
            )
        )
        with self._trial as trial:
            for start in range(0, len(asked), _AT_ONCE):
                yield from self._some(trial, asked[start : start + _AT_ONCE])

    def _some(self, trial: ScratchTrial, ids: Sequence[str]) -> Iterator[Previewed]:
        keys = {one: self._reader.key(one) for one in ids}
        possible = self._kind.source.statements.is_possible
        look = self._reader.look([key for key in keys.values() if possible(key)])
        there = self._reader.stored(ids)
        refused = {one.id: one for one in trial.documents(list(look.documents.values()))}
        for doc_id, key in keys.items():
            one = self._one(doc_id, key, look, there, refused.get(doc_id))
            yield replace(one, parked=doc_id in self._parked)

    def _one(
        self,
        doc_id: str,
        key: Key,
        look: Look,
        there: dict[str, Any],
        refusal: RefusedDocument | None,
    ) -> Previewed:
        index = self._kind.index
        if doc_id in look.faults:
            cause = Cause(look.faults[doc_id], of_query=True)
            return Previewed(index, doc_id, "refused", cause=cause)
        if doc_id not in look.documents:
            possible = self._kind.source.statements.is_possible(key)
            reason = "" if possible else f"no row can have this id: {self._spelling.of(doc_id)}"
            if doc_id in there:
                return Previewed(index, doc_id, "gone", reason=reason)
            return Previewed(index, doc_id, "absent", reason=reason, impossible=not possible)
        document = exact_json.document(look.documents[doc_id].body or b"")
        fields = tuple(differences(there[doc_id], document)) if doc_id in there else ()
        if refusal is not None:
            causes = Causes()
            causes.add(
                doc_id, refusal.reason, held=refusal.held, lifts=refusal.mend, document=document
            )
            for one in self._others():
                causes.saw(one)
            [cause] = causes.all()
            return Previewed(index, doc_id, "refused", document, fields, cause)
        state: State = "changed" if fields else "unchanged"
        return Previewed(index, doc_id, state if doc_id in there else "new", document, fields)

    def _others(self) -> list[Any]:
        """Some documents, whatever becomes of them: a mapping must take their values, too."""
        if self._some_others is None:
            keys = sampling.sample(self._kind.source.statements, self._connection, _OTHERS)
            read = self._kind.source.read(self._connection, keys)
            self._some_others = [
                exact_json.document(one.body)
                for one in read
                if isinstance(one, Document) and one.body is not None
            ]
        return self._some_others

    def all(self, size: int | None = None) -> PreviewReport:
        """All documents, or a sample of about this size. Raises Stopped."""
        current = self._current
        name = current.name if current is not None else None
        report = PreviewReport(self._kind.index, name, size is not None)
        with self._trial as trial:
            if current is not None:
                report.definition = tuple(
                    field
                    for name, before, after in scratch.differing(
                        self._client, trial.scratch, current, self._kind.config
                    )
                    for field in differences(before, after, name)
                )
                report.other_files = current.hash != self._kind.hash
            AllDocuments(
                self._kind.source,
                self._connection,
                self._client,
                reader=self._reader,
                trial=trial,
                report=report,
                daemon=self._daemon,
                stop=self._stop,
            ).run(size, self._observe)
        return report

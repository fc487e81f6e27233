"""A sample of each document kind, through its query into a scratch index: what the files make.

Nothing is written in use. What PostgreSQL forbids is told by other checks, and passed over here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, Final

import psycopg

from listener import postgres, search
from listener.changes import Key
from listener.checks.cluster import INDEX_PRIVILEGES
from listener.checks.faults import described
from listener.checks.finding import Finding
from listener.checks.keys import check_keys
from listener.checks.lookups import check_lookups
from listener.checks.stamps import check_stamps
from listener.config import DocumentConfig
from listener.documents import sampling
from listener.documents.causes import EXAMPLES, Cause, Causes
from listener.documents.files import QueryFileError
from listener.documents.kinds import Kind
from listener.documents.lacking import lacking, mends
from listener.documents.reading import Faulty
from listener.documents.topology import Assembly
from listener.documents.trial import ScratchTrial
from listener.observations.printable import one_line, shown
from listener.postgres import Connection
from listener.runtime.lifecycle import Stop
from listener.search import exact_json
from listener.search.bulk import Document
from listener.search.owners import Owner

SIZE: Final = 100
"""Documents of a sample."""
_ALONE: Final = 5
_CUT: Final = 60
_DENIED: Final = "42501"
_ALL: Final = (
    "return a row for each of %(ids)s, whatever the others are: no LIMIT, no DISTINCT and no "
)
_FEW: Final = 5
"""So many ids may have no document by chance: a table that has just been made."""
_NO_ROWS: Final = "look at its WHERE and its joins; it must return the same ids that it was given"
_STRICT: Final = "strict_dynamic"
_CONTRACT: Final = "the query returned"
"""How the reasons begin that say that a query breaks its contract."""


def check_samples(
    connection: Connection,
    client: search.Client,
    owner: Owner,
    documents: Sequence[DocumentConfig],
    parts: Assembly,
    *,
    stop: Stop,
    denied: bool = False,
    told: Container[str] = (),
) -> list[Finding]:
    """What is wrong with the documents of these entries, with the keys of their watches, and with
    what a single one costs. `denied`: that the user of Elasticsearch lacks rights is told already.
    `told`: the files, each as "INDEX: PATH", of which an error is told already.

    Raises psycopg.Error only where the server or the connection is at fault, Stopped; errors of
    the client pass through.
    """
    connection.execute("SET default_transaction_read_only = on")
    found: list[Finding] = []
    for document, kind in zip(documents, parts.files, strict=True):
        trial = ScratchTrial(connection, client, owner, kind, stop)
        looked = _Sample(connection, document, kind, trial, denied=denied, told=told)
        found += looked.findings()
        if looked.keys:
            found += check_keys(connection, document, kind, parts, looked.share, told=told)
            found += check_lookups(connection, document, kind, parts, looked.keys[0])
    found += check_stamps(connection, parts.watches)
    return list(dict.fromkeys(found))


class _Sample:
    """The sample of one document kind. `keys`: of its rows. `share`: of these, how many the query
    makes a document of, from 0 to 1."""

    def __init__(
        self,
        connection: Connection,
        document: DocumentConfig,
        kind: Kind,
        trial: ScratchTrial,
        *,
        denied: bool,
        told: Container[str],
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._source = kind.source
        self._document = document
        self._trial = trial
        self._denied = denied
        self._told = told
        self.keys: Sequence[Key] = ()
        self.share = 0.0

    def findings(self) -> Iterator[Finding]:
        """What is wrong. Read it to its end: then `keys` and `share` are known."""
        try:
            self.keys = sampling.sample(self._source.statements, self._connection, SIZE)
            read = self._source.read(self._connection, self.keys)
            documents = [one for one in read if isinstance(one, Document) and one.body is not None]
            missing = [one.key for one in read if isinstance(one, Document) and one.body is None]
            self.share = len(documents) / max(1, len(self.keys))
            yield from self._failing([one for one in read if isinstance(one, Faulty)])
            yield from self._missing(missing)
            yield from self._depending(documents)
        except QueryFileError as error:
            for problem in error.problems:
                what = one_line(problem).removeprefix(f"{self._kind.index}: ")
                yield Finding("error", f"{self._kind.index}: {what}")
            return
        except psycopg.errors.ReadOnlySqlTransaction as error:
            yield Finding(
                "warning",
                f"{self._kind.index}: {postgres.explain(error)[0]}: the query, or a function that "
                "it calls, writes, and would do so at each read",
                "leave that out of the query: what it makes cannot be tried without it",
            )
            return
        except psycopg.Error as error:
            if postgres.is_passing(error):
                raise
            self.keys = ()  # whatever the query is asked for fails
            if error.sqlstate != _DENIED and not self._is_told():
                what = described(error)
                yield Finding("error", f"{self._kind.index}: {what}", error.diag.message_hint or "")
            return
        if not documents:
            return
        try:
            yield from self._refused(documents)
        except search.Forbidden as error:
            if search.is_blocked(error):
                raise
            if not self._denied:
                yield Finding(
                    "error",
                    f"may not make a scratch index of {self._kind.index}: "
                    f"{search.explain(error)[0]}",
                    f"give its role the privileges {', '.join(INDEX_PRIVILEGES)} on "
                    f"{self._kind.index}.*",
                )

    def _is_told(self) -> bool:
        """Whether an error is told already of a file that this reads."""
        files = (self._document.query_file, self._document.ids_file)
        return any(f"{self._kind.index}: {path}" in self._told for path in files)

    def _failing(self, faults: Sequence[Faulty]) -> Iterator[Finding]:
        """Rows for which the query fails, or gives what is no document."""
        causes = Causes()
        for one in faults:
            causes.add(self._source.id_of(one.key), one.reason, of_query=True)
        for cause in causes.all():
            broken = cause.reason.startswith(_CONTRACT)
            yield self._finding(str(self._document.query_file), cause, cause.mend, error=broken)

    def _missing(self, keys: Sequence[Key]) -> Iterator[Finding]:
        """Ids without a document: a filter of the query's, or a mistake in it."""
        alone = [
            one.id
            for key in keys[:_ALONE]
            for one in self._source.read(self._connection, [key])
            if isinstance(one, Document) and one.body is not None
        ]
        where = f"{self._kind.index}: {self._document.query_file}"
        if len(self.keys) > 1 and alone:
            ids = ", ".join(map(shown, alone))
            yield Finding(
                "error",
                f"{where}: it returns {ids} when asked for alone, and not among {len(self.keys)} "
                "ids: all but some documents would be deleted",
                f"{_ALL}window over all of them",
            )
        elif keys and len(keys) == len(self.keys):
            yield Finding(
                "error" if len(keys) > _FEW else "warning",
                f"{where}: it returns no document for any of {len(keys)} ids of "
                f"{self._document.ids_file or self._document.table}: it would empty the index",
                _NO_ROWS,
            )
        elif 2 * len(keys) > len(self.keys):
            yield Finding(
                "warning",
                f"{where}: of {len(self.keys)} ids of "
                f"{self._document.ids_file or self._document.table} {len(keys)} have no document",
                f"if that is not meant: {_NO_ROWS}",
            )

    def _depending(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """Whether a document is another one alone than among others. It is read before and after,
        since its rows may change meanwhile."""
        if len(documents) < 2:
            return
        for one in documents[-2:]:
            before = self._body(one.key)
            among = self._source.read(self._connection, [x.key for x in documents])
            after = self._body(one.key)
            [there] = [x for x in among if x.key == one.key]
            body = there.body if isinstance(there, Document) else None
            if before is not None and before == after != body:
                yield Finding(
                    "error",
                    f"{self._kind.index}: {self._document.query_file}: the document of "
                    f"{shown(one.id)} is another one when other ids are asked for, too",
                    f"{_ALL}aggregate or window without PARTITION BY the id",
                )
                return

    def _body(self, key: Key) -> bytes | None:
        [one] = self._source.read(self._connection, [key])
        return one.body if isinstance(one, Document) else None

    def _refused(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """What the mapping of the files does not take."""
        causes = Causes()
        bodies = {one.id: one.body or b"" for one in documents}
        refused: list[Any] = []
        with self._trial as trial:
            for one in trial.documents(documents):
                value: Any = exact_json.document(bodies[one.id])
                causes.add(one.id, one.reason, held=one.held, lifts=one.mend, document=value)
                refused.append(value)
                del bodies[one.id]
        for body in bodies.values() if refused else ():
            causes.saw(exact_json.document(body))
        place = str(self._document.index_config_file)
        strict = [one for one in causes.all() if _STRICT in one.reason]
        fields = lacking(self._kind.config.mappings, refused) if strict else {}
        if len(fields) > 1:
            names = ", ".join(".".join(path) for path in fields)
            cause = Cause(
                f"strict_dynamic_mapping_exception: the mapping lacks the fields {names}",
                any(one.held for one in strict),
                sum(one.count for one in strict),
                [doc_id for one in strict for doc_id in one.ids][:EXAMPLES],
            )
            mend = "\n".join(mends(fields))
            yield self._finding(place, cause, f"{mend}\nor leave them out of the query", error=True)
        for cause in causes.all():
            if _STRICT not in cause.reason or len(fields) < 2:
                error = cause.held or _STRICT in cause.reason
                yield self._finding(place, cause, cause.mend, error=error)

    def _finding(self, place: str, cause: Cause, mend: str, *, error: bool) -> Finding:
        """One line for one cause. It is an error where the files are wrong, and not some rows."""
        ids = ", ".join(map(shown, cause.ids)) + (", …" if cause.count > len(cause.ids) else "")
        value = f", as {shown_value(cause.example)}" if cause.has_example else ""
        error = error or 2 * cause.count > len(self.keys)
        return Finding(
            "error" if error else "warning",
            f"{self._kind.index}: {place}: of {len(self.keys)} documents {cause.count} would be "
            f"{'held' if cause.held else 'refused'}: {one_line(cause.reason)}{value} ({ids})",
            "\n".join(map(one_line, mend.split("\n"))),
        )


def shown_value(value: Any) -> str:
    """A value of a document, cut at a length."""
    text = one_line(str(value) if not isinstance(value, str) else repr(value))
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"

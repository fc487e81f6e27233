"""A preview of all documents of one kind, or of a sample: pages of ids from the database against
the index, then the ids of the index against the query.

A page is tried in the scratch index while the next one is compared. A few pages, some ids of each
state and one refusal of each cause are all that is held in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final

from listener import search
from listener.changes import Key
from listener.documents import sampling
from listener.documents.source import DocumentSource
from listener.documents.trial import RefusedDocument, ScratchTrial
from listener.indexing.batch_size import MeanSize
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.active import ActiveDaemon
from listener.resync.compare import Comparison, Page
from listener.resync.fields import differences
from listener.resync.preview_page import Look, PageReader
from listener.resync.preview_report import PreviewReport, State
from listener.resync.report import ComparisonProgress
from listener.runtime.lifecycle import Stop, Stopped
from listener.search import exact_json
from listener.search.stored import some_ids

REMEMBERED: Final = 1000
"""Documents that differ, up to which each is looked at again: one may only be late."""
LOOKS: Final = 3
"""How often documents that differ are looked at again, beside a daemon that is at work."""
ONE_IN: Final = 50
"""Where the index in use has the same settings and mappings, it has taken the unchanged documents
already: one of so many is tried."""
_PAGE_BYTES: Final = 4_000_000
_MOST: Final = 2000
_IN_FIELDS: Final = 1000
"""Changed documents that are told field by field."""
_ALONE: Final = 5
"""Ids of a page that the query did not return among others, and that are asked for alone."""
_AHEAD: Final = 2
"""Pages that are tried while the next one is compared."""
_GONE: Final[State] = "gone"
_PARSED: Final = 20
"""Refused documents of a page that are looked into, and others beside them."""


class AllDocuments:
    """One run over all documents, or over a sample. Errors of both clients pass through."""

    def __init__(
        self,
        source: DocumentSource,
        connection: Connection,
        client: search.Client,
        *,
        reader: PageReader,
        trial: ScratchTrial,
        report: PreviewReport,
        daemon: ActiveDaemon,
        stop: Stop,
    ) -> None:
        """`report`: is filled. It says which index is in use, and how its definition differs."""
        self._source = source
        self._connection = connection
        self._client = client
        self._reader = reader
        self._trial = trial
        self._report = report
        self._daemon = daemon
        self._stop = stop
        self._comparison: Comparison | None = None
        if report.current is not None:
            self._comparison = Comparison(source, client, report.current, ())
        self._under_way: deque[tuple[Look, Future[list[RefusedDocument]]]] = deque()
        self._differing: dict[Key, tuple[str, State]] | None = {}
        """None: more than are remembered. They are counted already then."""
        self._sampled_gone: set[str] = set()
        """Ids of the sample that are gone: that of the index may have them, too."""
        self._in_fields = 0
        self._unchanged = 0
        self._mean = MeanSize()

    def run(self, size: int | None, observe: Observe) -> None:
        """Look at all, or at about `size` of them. Raises Stopped."""
        total = size or self._source.estimate(self._connection)
        progress = ComparisonProgress(self._report.index, total, observe)
        with ThreadPoolExecutor(1, thread_name_prefix="trial") as thread:
            for keys in self._pages(size):
                self._page(keys, thread)
                progress.add(Page(len(keys), ()))
            while self._under_way:
                self._settle()
        for looked_at, gone in self._gone(size):
            self._report.indexed += looked_at
            for key, doc_id in gone:
                self._count(key, doc_id, "gone")
            progress.add(Page(looked_at, ()))
            self._check()
        self._look_again()

    # -- the database ----------------------------------------------------------------------------

    def _pages(self, size: int | None) -> Iterator[Sequence[Key]]:
        if size is not None:
            keys = sampling.sample(self._source.statements, self._connection, size)
            for start in range(0, len(keys), _MOST):
                yield keys[start : start + _MOST]
            return
        after: Key | None = None
        while True:
            fitting = min(_MOST, self._mean.fitting(_PAGE_BYTES))
            keys = self._source.id_page(self._connection, after, fitting)
            if not keys:
                return
            yield keys
            after = keys[-1]

    def _page(self, keys: Sequence[Key], thread: ThreadPoolExecutor) -> None:
        look = self._reader.look(keys)
        self._mean.read(len(keys), look.size)
        report = self._report
        report.looked_at += len(keys)
        report.not_returned += len(look.not_returned)
        if report.sampled:  # else the whole index is looked at, and has them all
            for key, doc_id in self._reader.gone(look.not_returned):
                self._sampled_gone.add(doc_id)
                self._count(key, doc_id, "gone")
        if len(keys) > 1 and look.not_returned and len(report.unsteady) < _ALONE:
            report.unsteady += self._reader.alone(look.not_returned[:_ALONE])
        for doc_id, reason in look.faults.items():
            report.causes.add(doc_id, reason, of_query=True)
        tried = [one for doc_id, one in look.documents.items() if self._is_tried(look, doc_id)]
        report.tried += len(tried)
        while len(self._under_way) >= _AHEAD:
            self._settle()
        self._under_way.append((look, thread.submit(self._trial.documents, tried)))
        self._check()

    def _is_tried(self, look: Look, doc_id: str) -> bool:
        """Whether the index in use has not taken the like of it."""
        like = self._report.current is not None and not self._report.definition
        if not like or look.states[doc_id] != "unchanged":
            return True
        self._unchanged += 1
        return self._unchanged % ONE_IN == 1

    def _settle(self) -> None:
        """Take the verdicts on the oldest page, and count its documents."""
        look, verdicts = self._under_way.popleft()
        refused = verdicts.result()
        for number, one in enumerate(refused):
            look.states[one.id] = "refused"
            document = None
            if number < _PARSED:
                document = exact_json.document(look.documents[one.id].body or b"")
            self._report.causes.add(
                one.id, one.reason, held=one.held, lifts=one.mend, document=document
            )
        if refused:
            others = (doc_id for doc_id in look.documents if look.states[doc_id] != "refused")
            for doc_id in islice(others, _PARSED):
                document = exact_json.document(look.documents[doc_id].body or b"")
                self._report.causes.saw(document)
        for doc_id, state in look.states.items():
            key = look.documents[doc_id].key if doc_id in look.documents else ()
            self._count(key, doc_id, state)
        self._tell_fields(look)

    def _tell_fields(self, look: Look) -> None:
        for doc_id, before in look.stored.items():
            if self._in_fields >= _IN_FIELDS:
                return
            if look.states[doc_id] == "changed":
                self._in_fields += 1
                after = exact_json.document(look.documents[doc_id].body or b"")
                self._report.add_fields(doc_id, differences(before, after))

    def _count(self, key: Key, doc_id: str, state: State) -> None:
        """Count a document; one that differs is remembered as long as they are few."""
        if self._differing is None or state not in ("new", "changed", "gone"):
            self._report.add(doc_id, state)
            return
        self._differing[key] = (doc_id, state)
        if len(self._differing) > REMEMBERED:
            self._flush()

    def _flush(self) -> None:
        for doc_id, state in (self._differing or {}).values():
            self._report.add(doc_id, state)
        self._differing = None

    # -- the index -------------------------------------------------------------------------------

    def _gone(self, size: int | None) -> Iterator[tuple[int, list[tuple[Key, str]]]]:
        """Pages of the index: how many were looked at, and which of them the query does not
        return."""
        if self._comparison is None:
            return
        if size is not None:
            yield self._gone_of(some_ids(self._client, self._report.current or "", size))
            return
        for page in self._comparison.index(self._connection):
            gone = [
                (one.key, one.id)
                for one in page.mismatches
                if one.difference == "orphaned" or one.gone
            ]
            yield page.looked_at, gone

    def _gone_of(self, ids: Sequence[str]) -> tuple[int, list[tuple[Key, str]]]:
        keys = {self._reader.key(one): one for one in ids}
        there = self._source.existing(self._connection, list(keys))
        gone = [(key, one) for key, one in keys.items() if key not in there]
        return len(ids), [one for one in gone if one[1] not in self._sampled_gone]

    # -- once more -------------------------------------------------------------------------------

    def _look_again(self) -> None:
        """Look again at what differs: beside a daemon, or with writers at work, it may be late."""
        if not self._differing:
            return
        for number in range(LOOKS):
            self._again(list(self._differing))
            if not self._differing or not self._daemon.at_work() or number == LOOKS - 1:
                break
            if self._stop.wait(0.5):
                self._check()
        self._flush()

    def _again(self, keys: Sequence[Key]) -> None:
        was, self._differing, self._in_fields = self._differing or {}, {}, 0
        self._report.fields.clear()
        for start in range(0, len(keys), _MOST):
            part = keys[start : start + _MOST]
            look = self._reader.look(part)
            for doc_id, reason in look.faults.items():
                self._report.causes.add(doc_id, reason, of_query=True)
            ids = [was[key][0] for key in look.not_returned]
            there = self._reader.stored(ids)
            states = look.states | dict.fromkeys([one for one in ids if one in there], _GONE)
            for key in part:
                doc_id = was[key][0]
                state = states.get(doc_id)
                if state is None:  # neither side has it by now
                    continue
                if state in ("new", "changed", "gone"):
                    self._differing[key] = (doc_id, state)
                else:
                    self._report.add(doc_id, state)
            self._tell_fields(look)

    def _check(self) -> None:
        if self._stop.requested:
            raise Stopped("stop was requested")

"""A preview without servers: the two sides of a comparison, and a scratch index beside them."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest

from listener.changes import Key, KeyType
from listener.documents import paging, sampling
from listener.documents.kinds import Kind
from listener.documents.trial import RefusedDocument
from listener.resync import preview as module
from listener.resync.preview import Preview
from listener.resync.preview_report import PreviewReport
from listener.search import scratch
from listener.search.bulk import Document
from tests.kit.comparing import Sides
from tests.kit.definitions import film_statements
from tests.kit.session import film_index

REASON = "failed to parse field [title] of type [long]"


class Previewing(Sides):
    """`refused`: ids that the mapping does not take. `differing`: how the definition of the index
    in use differs. `tried`: ids that were sent to the scratch index, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int = 3) -> None:
        super().__init__(monkeypatch, number)
        self.refused: set[str] = set()
        self.held = False
        """Whether they would hold the daemon."""
        self.tried: list[str] = []
        self.fails: Exception | None = None
        """What the trial raises."""
        self.differing: list[tuple[str, Any, Any]] = []
        self.hash = "hash1"
        """Of what has made the index in use."""
        self.sampled: list[int] = []
        """How large a sample was drawn, each time."""
        self.foreign: Exception | None = None
        """Who else uses the alias."""
        self.keyed(("bigint",), ("id",))
        monkeypatch.setattr(paging, "id_page", lambda _, *given: self.source.id_page(*given))
        monkeypatch.setattr(sampling, "sample", self._sample)
        monkeypatch.setattr(scratch, "differing", lambda *_: self.differing)
        monkeypatch.setattr(module, "ScratchTrial", lambda *_: FakeTrial(self))

    def keyed(self, types: Sequence[KeyType], key: Sequence[str]) -> None:
        """The films have this key."""
        self.source.statements = film_statements(types, key)
        self.source.types = tuple(types)
        definition = self.source.statements.definition
        self.kind = Kind(0, self.source, cast(Any, None), definition, 0)

    def preview(self) -> Preview:
        """Of the films."""
        indexes: Any = SimpleNamespace(
            refuse_foreign=self._refuse_foreign, behind=self._behind, owner=None
        )
        daemon: Any = self.daemon
        return Preview(
            self.connection,
            self.client,
            indexes,
            self.kind,
            parked=self.parked,
            daemon=daemon,
            observe=self.told.append,
            stop=self.stop,
        )

    def all(self, size: int | None = None) -> PreviewReport:
        """Look at all films, or a sample."""
        return self.preview().all(size)

    def _refuse_foreign(self, alias: str) -> None:
        assert alias == "films"
        if self.foreign is not None:
            raise self.foreign

    def _behind(self, _alias: str) -> Any:
        return film_index(self.behind[0], hash=self.hash) if self.behind else None

    def _sample(self, _statements: object, _connection: object, size: int) -> list[Key]:
        self.sampled.append(size)
        return self.source.id_page(None, None, size)  # type: ignore[no-any-return]


class FakeTrial:
    """A scratch index: it is noted when it comes and goes."""

    scratch = None

    def __init__(self, sides: Previewing) -> None:
        self._sides = sides

    def __enter__(self) -> Self:
        self._sides.step("scratch index made")
        return self

    def __exit__(self, *_: object) -> None:
        self._sides.step("scratch index removed")

    def documents(self, documents: Sequence[Document]) -> list[RefusedDocument]:
        """Which of these are refused."""
        if self._sides.fails is not None:
            raise self._sides.fails
        self._sides.tried += [one.id for one in documents]
        return [
            RefusedDocument(one.key, one.id, REASON, self._sides.held)
            for one in documents
            if one.id in self._sides.refused
        ]

"""What a document kind is: one definition, which one index at a time is fed by."""

from __future__ import annotations

from dataclasses import dataclass

from listener.documents.definition import Definition
from listener.documents.source import DocumentSource
from listener.search.index_config import IndexConfig


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document.

    `number`: its place among all kinds. `document`: the place of its entry among `documents`; the
    kind of the files as they are has this number, too. `config`: what the files say of an index.
    `hash`: of the definition.
    """

    number: int
    source: DocumentSource
    config: IndexConfig
    definition: Definition
    document: int

    @property
    def index(self) -> str:
        """The alias."""
        return self.source.name

    @property
    def hash(self) -> str:
        """The hash of the definition."""
        return self.definition.hash

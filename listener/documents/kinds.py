"""What a document kind is."""

from __future__ import annotations

from dataclasses import dataclass

from listener.documents.source import DocumentSource
from listener.search.index_config import IndexConfig


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document, with what its index must be."""

    number: int
    source: DocumentSource
    config: IndexConfig
    hash: str

    @property
    def index(self) -> str:
        """The alias."""
        return self.source.name

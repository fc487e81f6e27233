"""The trial of documents in a scratch index: what ends it is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener import search
from listener.documents.trial import ScratchTrial
from listener.runtime.lifecycle import Stop
from listener.search import scratch


def test_what_has_ended_it_is_told_and_not_its_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not make an index may not delete one, either: the right to make it is missing."""

    def refuse(what: str) -> Any:
        def refused(*_: object) -> None:
            raise search.Unusable(what)

        return refused

    monkeypatch.setattr(scratch, "left", lambda *_: ())
    monkeypatch.setattr(scratch, "make", refuse("no right to make"))
    monkeypatch.setattr(scratch, "drop", refuse("no right to delete"))
    row = SimpleNamespace(fetchone=lambda: (True,))
    connection = SimpleNamespace(execute=lambda *_: row)
    kind = SimpleNamespace(index="films", config=None)
    made = cast("Any", ScratchTrial)
    trial = made(connection, None, None, kind, Stop())
    with pytest.raises(search.Unusable, match="no right to make") as caught:
        trial.__enter__()
    assert "was not removed: no right to delete" in caught.value.__notes__[0]

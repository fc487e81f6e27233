"""What is wrong, and what mends it: two texts, which are told as one line."""

from __future__ import annotations

import psycopg
import pytest

from listener import postgres, search
from listener.failures import failure_of
from listener.observations.events import Held, ServerName, Waiting
from listener.observations.mends import with_mend
from listener.search.errors import unreadable
from listener.search.index_config import IndexError_


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("no such column", "no such column. Mend: x"),
        ("did you mean film?", "did you mean film? Mend: x"),
        ("cut at a length…", "cut at a length… Mend: x"),
        ("blocked by: [FORBIDDEN/8/x];", "blocked by: [FORBIDDEN/8/x]. Mend: x"),
        ("a reason of a server: ", "a reason of a server. Mend: x"),
    ],
)
def test_one_line(reason: str, told: str) -> None:
    """A sentence ends once, however a server ends its own."""
    assert with_mend(reason, "x") == told
    assert with_mend(reason, "") == reason


@pytest.mark.parametrize(
    ("error", "reason", "mend"),
    [
        (postgres.Pooled("a pooler"), "a pooler", postgres.DIRECTLY),
        (
            psycopg.OperationalError("failed to resolve host 'x'"),
            "failed to resolve host 'x'",
            "postgres.host: a name that this machine can resolve",
        ),
        (search.Unusable("no room", "make some"), "no room", "make some"),
        (
            unreadable("films-1", {"type": "index_closed_exception", "reason": "closed"}),
            "films-1: _mget: index_closed_exception: closed",
            "POST /films-1/_open",
        ),
        (
            unreadable("f", {"reason": "index [f-1] blocked by: [FORBIDDEN/7/index read (api)]"}),
            "index [f-1] blocked by: [FORBIDDEN/7/index read (api)]",
            'PUT /f-1/_settings {"index.blocks.read": null}',
        ),
        (search.Away("Connection refused"), "TransportError: Connection refused", ""),
        (IndexError_("films leads to two", mend="remove one"), "films leads to two", "remove one"),
        (KeyError("film"), "unexpected KeyError: 'film'", ""),
    ],
    ids=repr,
)
def test_what_mends_is_apart(error: Exception, reason: str, mend: str) -> None:
    """Of errors of both servers, and of listener's own. It is never cut out of a text again."""
    failure = failure_of(error)
    assert failure.reason.endswith(reason)
    assert failure.mend == mend
    told = failure.wait(1, 0.5)
    assert isinstance(told, Waiting | Held)
    assert told.reason == with_mend(failure.reason, mend)
    during = failure.during("full load")
    assert (during.reason, during.mend) == (f"full load: {failure.reason}", mend)
    named = f"{failure.server}: " if isinstance(failure.server, ServerName) else ""
    assert str(failure) == f"{named}{told.reason}"

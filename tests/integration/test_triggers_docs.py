"""docs/triggers.md says what is installed."""

from __future__ import annotations

import re
from pathlib import Path

from listener.changes import KEY_TYPES, Change, Watch, decode_payload
from listener.triggers import keys
from tests.kit.triggers import Bench

_TEXT = (Path(__file__).parents[2] / "docs" / "triggers.md").read_text("utf-8")


def test_the_payloads_are_payloads() -> None:
    """Each line of the example, and the limits beside it."""
    lines = re.findall(r"^(\{.*?\})(?:  .*)?$", _TEXT, re.MULTILINE)
    changes = [decode_payload(line) for line in lines]
    assert [one.kind for one in changes if isinstance(one, Change)] == [
        "keys",
        "sweep",
        "reconcile",
    ]
    assert f"more than {keys.MOST:,} keys" in _TEXT


def test_all_objects_are_named(bench: Bench) -> None:
    """Tables, triggers, functions, key types."""
    bench.run("CREATE TABLE t (id integer, u timestamptz)")
    bench.install(Watch("public", "t", ("id",), "u"))
    found = bench.admin.execute(
        "SELECT relname FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'listener'::regnamespace"
        " UNION SELECT regexp_replace(tgname, '_[0-9a-f]{12}', '_…') FROM pg_trigger"
        " WHERE NOT tgisinternal"
    ).fetchall()
    assert len(found) == 8
    for (name,) in found:
        assert f"`{name}`" in _TEXT or f"`{name.removeprefix('listener_…')}`" in _TEXT, name
    for kind in KEY_TYPES.values():
        assert kind in _TEXT

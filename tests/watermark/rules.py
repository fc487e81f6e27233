"""The rule of the watermark, and wrong ones that lose rows.

Each wrong rule is the product's own with one change: another text in an installed trigger function,
another function for a proof, another order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from listener.capture import watermark
from listener.capture.watermark import Draw
from listener.postgres import Connection
from listener.sql import files
from listener.triggers import bodies

STAMP: Final = bodies._NOW.as_string(None)
UTC: Final = " AT TIME ZONE 'UTC'"


@dataclass(frozen=True, slots=True)
class Rule:
    """How rows are stamped, and how the watermark follows them.

    `stamp`: what stands in the trigger functions instead of something else. `overlap`: how far
    sweeps reach back; none here, since it hides all other mistakes that are small. `advances`:
    to the drawn moment, or to the last stamp that was read, with a proof or without.
    """

    stamp: tuple[str, str] | None = None
    draw: Callable[[Connection], Draw] = watermark.draw
    passed: Callable[[Connection, Draw], bool] = watermark.passed
    proof_first: bool = True
    overlap: timedelta = timedelta()
    advances: Literal["to the draw", "to the last stamp"] = "to the draw"
    watches_clock: bool = True


RIGHT: Final = Rule()


def no_proof(connection: Connection, drawn: Draw) -> bool:
    """Whoever stamped before t is taken for finished."""
    return True


def id_first(connection: Connection) -> Draw:
    """L, then t: whoever gets its id and stamps in between is above L and below t."""
    burnt = connection.execute(files.load("watermark/burn")).fetchone()
    row = connection.execute(files.load("watermark/draw")).fetchone()
    assert row is not None
    assert burnt is not None
    return Draw(row[0], int(burnt[0]), row[1])


WRONG: Final = {
    "stamp now()": replace(RIGHT, stamp=(STAMP, "pg_catalog.now()")),
    "clock_timestamp() without the id": replace(
        RIGHT, stamp=(STAMP, "pg_catalog.clock_timestamp()")
    ),
    "no wait for xmin > L": replace(RIGHT, passed=no_proof),
    "updated_at > last": replace(RIGHT, passed=no_proof, advances="to the last stamp"),
    "an open upper bound": replace(RIGHT, advances="to the last stamp"),
    "proof after the read": replace(RIGHT, proof_first=False),
    "L before t": replace(RIGHT, draw=id_first),
    "stamp in the session's zone": replace(
        RIGHT, stamp=(STAMP + UTC, STAMP), overlap=timedelta(seconds=2)
    ),
    "stamp in whole seconds": replace(
        RIGHT, stamp=(STAMP, f"pg_catalog.date_trunc('second', {STAMP})")
    ),
}

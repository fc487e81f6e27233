"""Reading plans: plain values, no server."""

from __future__ import annotations

import pytest

from listener.checks.advice import static_line, watch_lines
from listener.checks.plan import Call, clock_literals, read_plan


def calls(text: str) -> set[tuple[str, str]]:
    """The calls in one expression of a plan."""
    plan = read_plan([{"Plan": {"Node Type": "Result", "Output": [text]}}])
    return {(one.schema, one.name) for one in plan.calls}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("now()", {("", "now")}),
        ("date_trunc('day'::text, now())", {("", "date_trunc"), ("", "now")}),
        ("content.price(f.id)", {("content", "price")}),
        ('"Odd"."My Func"(f.id)', {("Odd", "My Func")}),
        ('"a""b"(x)', {("", 'a"b')}),
        ("'now()'::text", set()),
        ("'it''s random()'::text", set()),
        ('("it\'s".x || lower("it\'s".y))', {("", "lower")}),
        ("(f.title ~~ 'a%'::text)", set()),
        ("überprüfe(f.id)", {("", "überprüfe")}),
    ],
)
def test_calls(text: str, found: set[tuple[str, str]]) -> None:
    """Literals are passed over, quoted names are not."""
    assert calls(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CURRENT_DATE", {"CURRENT_DATE"}),
        ("(LOCALTIMESTAMP(0) - f.born)", {"LOCALTIMESTAMP"}),
        ("'CURRENT_DATE'::text", set()),
    ],
)
def test_the_clock(text: str, found: set[str]) -> None:
    """Words of SQL that are no calls."""
    plan = read_plan([{"Plan": {"Node Type": "Result", "Output": [text]}}])
    assert plan.clock == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT 'today'::date", {"'today'"}),
        ("SELECT date 'Yesterday '", {"'yesterday'"}),
        ("SELECT 'now'::timestamptz", {"'now'"}),
        ("SELECT 'today' AS edition", set()),
    ],
)
def test_literals_that_mean_the_clock(text: str, found: set[str]) -> None:
    """PostgreSQL reads them once, while it plans."""
    assert clock_literals(text) == found


def test_nodes_of_all_kinds() -> None:
    """Subplans, init plans and CTEs are nodes within nodes."""
    leaf = {"Node Type": "Seq Scan", "Relation Name": "genre", "Schema": "content"}
    plan = [
        {
            "Plan": {
                "Node Type": "Limit",
                "Plans": [
                    {"Node Type": "CTE Scan", "Plans": [leaf]},
                    {
                        "Node Type": "Function Scan",
                        "Function Name": "f",
                        "Function Call": "content.f('{1}'::integer[])",
                    },
                ],
            }
        }
    ]
    found = read_plan(plan)
    assert found.relations == {("content", "genre")}
    assert found.calls == {Call("content", "f")}


def test_lines_to_copy() -> None:
    """Names are quoted as the configuration wants them."""
    assert watch_lines(("content", "film"), ["id"], None) == (
        "watch:\n  - table: content.film\n    key: id"
    )
    assert watch_lines(("Odd.Schema", "My Table"), ["a b", "c"], "films") == (
        'watch:\n  - table: "\\"Odd.Schema\\".My Table"\n    key: ["a b", c]\n'
        "    mapping_file: FILE.sql # keys to ids of films"
    )
    assert static_line(("content", "language")) == "static: [content.language]"

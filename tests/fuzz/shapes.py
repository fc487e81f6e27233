"""What the properties are fed with: texts, JSON, keys of each type, and things almost right."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import strategies as st

from listener.changes import Key, KeyType
from tests.fuzz.kit import TYPES

CLEAN: Final = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
"""What a text of PostgreSQL may hold."""
NASTY: Final = st.sampled_from(
    [
        *("", "\0", "\ud800", '"', "\\", "\n", "\r\n", "\u2028", "\u0661", "\U0001f3ac", "e\u0301"),
        *("null", "[", "{}", '{"delete":{}}\n', "-0", "+1", "01", " 1", "1_0", "1e2", "NaN"),
        *("9223372036854775807", "9223372036854775808", "9" * 5000, "%(ids)s", "[1]", '["a"]'),
    ]
)
ANY_TEXT: Final = st.text(st.characters()) | NASTY | st.lists(NASTY, max_size=4).map("".join)
KEY_TEXT: Final = (st.text(CLEAN) | st.lists(NASTY, max_size=3).map("".join)).filter(
    lambda text: "\0" not in text and "\ud800" not in text
)

_FIELDS: Final = st.sampled_from(["v", "w", "k", "sweep", "reconcile", "barrier", "d", ""])
_SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.sampled_from([0, 1, 1.0, 2, -1, "1", 10**400])
)
ALMOST_PARTS: Final = (
    ANY_TEXT
    | st.uuids().map(str)
    | st.uuids().map(lambda one: str(one).upper())
    | st.uuids().map(lambda one: one.hex)
    | st.integers(-(2**65), 2**65).map(str)
    | st.text(st.characters(max_codepoint=127))
    | st.just("a\0")
)
"""Parts of keys that are right for some type, or nearly."""
JSON: Final = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_FIELDS | ANY_TEXT, inner, max_size=5)
    ),
    max_leaves=12,
)
"""Any JSON value, and what Python writes besides (NaN, lone surrogates)."""


def key_parts(kind: KeyType) -> st.SearchStrategy[str]:
    """Texts of values of this type, as PostgreSQL prints them."""
    bits = {"smallint": 16, "integer": 32, "bigint": 64}.get(kind)
    if bits is not None:
        edge = 1 << (bits - 1)
        whole = st.integers(-edge, edge - 1) | st.sampled_from([-edge, edge - 1, 0, -1])
        return whole.map(str)
    return st.uuids().map(str) if kind == "uuid" else KEY_TEXT


@st.composite
def typed_keys(
    draw: st.DrawFn, count: int = 2, *, most: int = 3
) -> tuple[tuple[KeyType, ...], tuple[Key, ...]]:
    """Types of a key, and so many keys of them, which may be equal."""
    types = tuple(draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=most)))
    one = st.tuples(*map(key_parts, types))
    first = draw(one)
    return types, (first, *(draw(st.just(first) | one) for _ in range(count - 1)))


@st.composite
def almost_payloads(draw: st.DrawFn) -> str:
    """A payload of ours with something wrong with it, or nothing."""
    value: dict[str, Any] = {"v": 1}
    kind = draw(st.sampled_from(["k", "sweep", "reconcile", "barrier"]))
    value |= {"barrier": draw(ANY_TEXT)} if kind == "barrier" else {"w": draw(ANY_TEXT)}
    if kind == "k":
        value["k"] = draw(st.lists(KEY_TEXT | st.lists(KEY_TEXT, max_size=3), max_size=4))
    elif kind != "barrier":
        value[kind] = True
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.sampled_from(["version", "replace", "drop", "add"])):
            case "version":
                value["v"] = draw(st.sampled_from([0, 1, 1.0, True, 2, "1", None, 10**400]))
            case "replace":
                value[draw(st.sampled_from(sorted(value)))] = draw(JSON)
            case "drop":
                value.pop(draw(st.sampled_from(["v", "w", "k"])), None)
            case _:
                value[draw(_FIELDS)] = draw(JSON)
    if not value:
        return "{}"
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    match draw(st.sampled_from(["whole", "whole", "cut", "doubled", "noise"])):
        case "cut":
            return text[: draw(st.integers(0, len(text)))]
        case "doubled":
            return text[:-1] + "," + text[1:]
        case "noise":
            place = draw(st.integers(0, len(text)))
            return text[:place] + draw(ANY_TEXT) + text[place:]
    return text

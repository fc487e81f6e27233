"""Writes of the stock (tests/schemas/stock).

Sites, suppliers and items of the template *last*: only their owner updates them and TRUNCATE alone
removes them, so that everybody may refer to them. A slice's own ones come and go.
"""

from __future__ import annotations

import random
from typing import Final

from tests.kit.writes.statements import SLICES, Copy, Statement, Write, literal, text

_SITES, _ITEMS = 16, 48
_MANY, _FLOOD = 700, 10_400
_CODES: Final = ("plain", "it's", 'a "b"', "Ключ", "日本", "a/b#c", "[1]", " ", "\\n", "_id")
_NOS: Final = (-2_147_483_648, 0, 7, 2_147_483_647)
_EDGES: Final = {0: -9_223_372_036_854_775_808, 1: 9_223_372_036_854_775_807, 2: 0, 3: 2**53 + 1}

Choice = random.Random
Item = tuple[str, int]


def _own_items(number: int) -> list[Item]:
    return [(f"{code} {number}", no) for code in _own_codes(number) for no in _NOS]


def _own_codes(number: int) -> list[str]:
    return [_CODES[(number * 2 + n) % len(_CODES)] for n in range(2)]


def _lasting_items(number: int) -> list[Item]:
    return [("lasting", n) for n in range(1, _ITEMS + 1) if n % SLICES == number]


def _item(choice: Choice, number: int) -> Item:
    """An item that this slice writes."""
    return choice.choice([*_lasting_items(number), *_own_items(number)])


def _any_item(choice: Choice, number: int) -> Item:
    """An item that this slice's movements and suppliers may refer to."""
    lasting = ("lasting", choice.randrange(_ITEMS) + 1)
    return choice.choice([lasting, choice.choice(_own_items(number))])


def _own_site(choice: Choice, number: int) -> int:
    """A site that comes and goes."""
    return choice.choice(_own_sites(number))


def _own_sites(number: int) -> list[int]:
    far = 10**15 + number
    return [far, -far, *([_EDGES[number]] if number in _EDGES else [])]


def _any_site(choice: Choice, number: int) -> int:
    return choice.choice([choice.randrange(_SITES) + 1, _own_site(choice, number)])


def _lasting_site(choice: Choice, number: int) -> int:
    return choice.choice([n for n in range(1, _SITES + 1) if n % SLICES == number])


def _supplier(choice: Choice, number: int) -> str:
    return choice.choice(_own_suppliers(number))


def _own_suppliers(number: int) -> list[str]:
    return [f"own {code} {number}" for code in _own_codes(number)]


def _movement(choice: Choice, number: int) -> int:
    """A movement of this slice; those of the template are small, and belong to no slice."""
    return choice.choice(_own_movements(number))


def _own_movements(number: int) -> list[int]:
    return [sign * (1000 * (number + 1) + n) for sign in (1, -1) for n in range(3)]


def _is(item: Item) -> str:
    return f"(code, no) = ({literal(item[0])}, {item[1]})"


def _there(item: Item) -> str:
    return f"EXISTS (SELECT FROM stock.item WHERE {_is(item)})"


def _site(number: int) -> str:
    """The site where it is there, else NULL."""
    return f"(SELECT id FROM stock.site WHERE id = {number})"


def _rows(choice: Choice, number: int, count: int) -> str:
    return ", ".join(
        f"({literal(code)}, {no}, {_site(_any_site(choice, number))}, {text(choice)})"
        for code, no in choice.sample(_own_items(number), count)
    )


# -- items -----------------------------------------------------------------------------------------


def _insert(choice: Choice, number: int) -> list[Statement]:
    return [
        f"INSERT INTO stock.item (code, no, site, name) VALUES {_rows(choice, number, 4)} "
        "ON CONFLICT DO NOTHING"
    ]


def _upsert(choice: Choice, number: int) -> list[Statement]:
    return [
        f"INSERT INTO stock.item (code, no, site, name) VALUES {_rows(choice, number, 4)} "
        "ON CONFLICT (code, no) DO UPDATE SET name = excluded.name, site = excluded.site"
    ]


def _update(choice: Choice, number: int) -> list[Statement]:
    change = choice.choice(
        [
            f"name = {text(choice)}",
            f"note = {text(choice)}",
            "name = name",
            f"site = {_site(_any_site(choice, number))}",
            f"site = {_site(_any_site(choice, number))}, name = {text(choice)}",
            "site = NULL",
        ]
    )
    return [f"UPDATE stock.item SET {change} WHERE {_is(_item(choice, number))}"]


def _delete(choice: Choice, number: int) -> list[Statement]:
    gone = " OR ".join(_is(one) for one in choice.sample(_own_items(number), 4))
    return [f"DELETE FROM stock.item WHERE {gone}"]


def _new_key(choice: Choice, number: int) -> list[Statement]:
    old, new = choice.sample(_own_items(number), 2)
    return [
        f"UPDATE stock.item SET code = {literal(new[0])}, no = {new[1]} "
        f"WHERE {_is(old)} AND NOT {_there(new)}"
    ]


def _merge(choice: Choice, number: int) -> list[Statement]:
    return [
        f"MERGE INTO stock.item AS item USING (VALUES {_rows(choice, number, 5)}) "
        "AS new (code, no, site, name) ON item.code = new.code AND item.no = new.no "
        "WHEN MATCHED AND item.site IS NULL THEN DELETE "
        "WHEN MATCHED THEN UPDATE SET name = new.name, site = new.site WHEN NOT MATCHED THEN "
        "INSERT (code, no, site, name) VALUES (new.code, new.no, new.site, new.name)"
    ]


def _copy(choice: Choice, number: int) -> list[Statement]:
    items = choice.sample(_own_items(number), 5)
    rows = tuple((code, no, None, f"Copied {choice.randrange(10**9)}") for code, no in items)
    gone = " OR ".join(_is(one) for one in items)
    return [
        f"DELETE FROM stock.item WHERE {gone}",
        Copy("stock.item", ("code", "no", "site", "name"), rows),
    ]


def _cte(choice: Choice, number: int) -> list[Statement]:
    (code, no), other = choice.sample(_own_items(number), 2)
    move = _movement(choice, number)
    return [
        f"WITH gone AS (DELETE FROM stock.movement WHERE id = {move} RETURNING id), added AS "
        f"(INSERT INTO stock.item (code, no, name) VALUES ({literal(code)}, {no}, {text(choice)}) "
        "ON CONFLICT (code, no) DO UPDATE SET name = excluded.name RETURNING no) "
        "UPDATE stock.item SET name = 'after ' || (SELECT count(*) FROM added) || ' ' || "
        f"(SELECT count(*) FROM gone) WHERE {_is(other)}"
    ]


# -- sites, suppliers, movements -------------------------------------------------------------------


def _site_upsert(choice: Choice, number: int) -> list[Statement]:
    return [
        f"INSERT INTO stock.site VALUES ({_own_site(choice, number)}, {text(choice)}) "
        "ON CONFLICT (id) DO UPDATE SET label = excluded.label"
    ]


def _site_delete(choice: Choice, number: int) -> list[Statement]:
    return [f"DELETE FROM stock.site WHERE id = {_own_site(choice, number)}"]


def _site_key(choice: Choice, number: int) -> list[Statement]:
    old, new = _own_site(choice, number), _own_site(choice, number)
    return [
        f"UPDATE stock.site SET id = {new} WHERE id = {old} "
        f"AND NOT EXISTS (SELECT FROM stock.site WHERE id = {new})"
    ]


def _rename(choice: Choice, number: int) -> list[Statement]:
    site = choice.choice([_lasting_site(choice, number), _own_site(choice, number)])
    nick = choice.choice([f"supplier {_lasting_site(choice, number)}", _supplier(choice, number)])
    return [
        choice.choice(
            [
                f"UPDATE stock.site SET label = {text(choice)} WHERE id = {site}",
                f"UPDATE stock.supplier SET title = {text(choice)} WHERE nick = {literal(nick)}",
            ]
        )
    ]


def _supply(choice: Choice, number: int) -> list[Statement]:
    nick, (code, no) = literal(_supplier(choice, number)), _any_item(choice, number)
    return [
        f"INSERT INTO stock.supplier VALUES ({nick}, {text(choice)}) ON CONFLICT DO NOTHING",
        f"INSERT INTO stock.supply SELECT {literal(code)}, {no}, {nick} "
        f"WHERE {_there((code, no))} ON CONFLICT DO NOTHING",
    ]


def _supply_move(choice: Choice, number: int) -> list[Statement]:
    nick, (code, no) = literal(_supplier(choice, number)), _any_item(choice, number)
    return [
        f"UPDATE stock.supply SET code = {literal(code)}, no = {no} WHERE (code, no, nick) = "
        f"(SELECT code, no, nick FROM stock.supply WHERE nick = {nick} ORDER BY code, no LIMIT 1) "
        f"AND {_there((code, no))} AND NOT EXISTS (SELECT FROM stock.supply AS other "
        f"WHERE (code, no, nick) = ({literal(code)}, {no}, {nick}))"
    ]


def _supplier_key(choice: Choice, number: int) -> list[Statement]:
    old, new = literal(_supplier(choice, number)), literal(_supplier(choice, number))
    return [
        choice.choice(
            [
                f"DELETE FROM stock.supplier WHERE nick = {old}",
                f"UPDATE stock.supplier SET nick = {new} WHERE nick = {old} "
                f"AND NOT EXISTS (SELECT FROM stock.supplier WHERE nick = {new})",
            ]
        )
    ]


def _movement_upsert(choice: Choice, number: int) -> list[Statement]:
    (code, no), move = _any_item(choice, number), _movement(choice, number)
    table = "stock.movement"
    if choice.randrange(3) == 0:  # straight into the partition
        table = "stock.movement_low" if move < 0 else "stock.movement_high"
    return [
        f"INSERT INTO {table} SELECT {move}, {literal(code)}, {no}, {choice.randrange(100)} "
        f"WHERE {_there((code, no))} ON CONFLICT (id) DO UPDATE SET amount = excluded.amount"
    ]


def _movement_move(choice: Choice, number: int) -> list[Statement]:
    (code, no), move = _any_item(choice, number), _movement(choice, number)
    other = choice.choice([move, -move])  # into the other partition
    return [
        f"UPDATE stock.movement SET code = {literal(code)}, no = {no}, id = {other} "
        f"WHERE id = {move} AND {_there((code, no))} AND ({other} = {move} OR NOT EXISTS "
        f"(SELECT FROM stock.movement WHERE id = {other}))"
    ]


def _movement_delete(choice: Choice, number: int) -> list[Statement]:
    return [f"DELETE FROM stock.movement WHERE id = {_movement(choice, number)}"]


# -- many ------------------------------------------------------------------------------------------


def _many(choice: Choice, number: int) -> list[Statement]:
    return _mass(choice, f"many of {number}", _MANY)


def _flood(choice: Choice, number: int) -> list[Statement]:
    return _mass(choice, f"flood of {number}", _FLOOD)


def _mass(choice: Choice, code: str, count: int) -> list[Statement]:
    new = (
        f"INSERT INTO stock.item (code, no, name) SELECT '{code}', n, {text(choice)} "
        f"FROM generate_series(1, {count}) AS n "
        "ON CONFLICT (code, no) DO UPDATE SET name = excluded.name"
    )
    gone = f"DELETE FROM stock.item WHERE code = '{code}'"
    moved = f"UPDATE stock.item SET site = {_site(choice.randrange(16) + 1)} WHERE code = '{code}'"
    return choice.choice([[new], [gone], [new, moved], [new, gone]])


def _refill(choice: Choice, number: int) -> list[Statement]:
    sites = [n for n in range(1, _SITES + 1) if n % SLICES == number]
    nicks = [f"supplier {n}" for n in sites] + _own_suppliers(number)
    labels = ", ".join(f"({n}, {text(choice)})" for n in [*sites, *_own_sites(number)])
    titles = ", ".join(f"({literal(nick)}, {text(choice)})" for nick in nicks)
    items = ", ".join(
        f"({literal(code)}, {no}, {_site(_any_site(choice, number))}, {text(choice)})"
        for code, no in _lasting_items(number) + _own_items(number)
    )
    supplies: list[Statement] = []
    for _ in range(6):
        supplies += _supply(choice, number) + _movement_upsert(choice, number)
    return [
        f"INSERT INTO stock.site VALUES {labels} ON CONFLICT DO NOTHING",
        f"INSERT INTO stock.supplier VALUES {titles} ON CONFLICT DO NOTHING",
        f"INSERT INTO stock.item (code, no, site, name) VALUES {items} ON CONFLICT DO NOTHING",
        *supplies,
    ]


def _truncate(choice: Choice, number: int) -> list[Statement]:
    what = choice.choice(
        ["movement", "movement_high", "supply", "supplier CASCADE", "item CASCADE", "site CASCADE",
         "movement, stock.supply, stock.item"]
    )  # fmt: skip
    return [f"TRUNCATE stock.{what}", *choice.choice([[], _refill(choice, number)])]


STOCK: Final = (
    Write("insert items", _insert),
    Write("upsert items", _upsert),
    Write("update an item", _update),
    Write("delete items", _delete),
    Write("change an item's key", _new_key),
    Write("merge items", _merge),
    Write("copy items", _copy),
    Write("writable CTE", _cte),
    Write("upsert a site", _site_upsert),
    Write("delete a site", _site_delete),
    Write("change a site's key", _site_key),
    Write("rename", _rename),
    Write("supply an item", _supply),
    Write("move a supply", _supply_move),
    Write("change or delete a supplier", _supplier_key),
    Write("upsert a movement", _movement_upsert),
    Write("move a movement", _movement_move),
    Write("delete a movement", _movement_delete),
    Write("refill", _refill),
    Write("many items", _many),
    Write("flood of items", _flood, rare=True),
    Write("truncate", _truncate, alone=True),
)

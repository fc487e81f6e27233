"""Writes of the cards (tests/soak/cards): each slice has the numbers of one remainder."""

from __future__ import annotations

import random
from typing import Final

from tests.kit.writes.statements import SLICES, Statement, Write, text

CARDS_THERE, TICKETS_THERE = 200, 100


def _number(choice: random.Random, number: int, most: int) -> int:
    return choice.choice(range(number + 1, most + 1, SLICES))


def _card(choice: random.Random, number: int) -> list[Statement]:
    """A worth below zero takes the card out of the view."""
    return [
        f"INSERT INTO cards.card VALUES ({_number(choice, number, CARDS_THERE)}, {text(choice)}, "
        f"{choice.choice([-1, 0, 1, 7, 500])}) "
        "ON CONFLICT (id) DO UPDATE SET label = excluded.label, worth = excluded.worth"
    ]


def _card_gone(choice: random.Random, number: int) -> list[Statement]:
    return [f"DELETE FROM cards.card WHERE id = {_number(choice, number, CARDS_THERE)}"]


def _ticket(choice: random.Random, number: int) -> list[Statement]:
    return [
        f"INSERT INTO cards.ticket VALUES ({_number(choice, number, TICKETS_THERE)}, "
        f"{text(choice)}) ON CONFLICT (id) DO UPDATE SET label = excluded.label"
    ]


def _ticket_gone(choice: random.Random, number: int) -> list[Statement]:
    return [f"DELETE FROM cards.ticket WHERE id = {_number(choice, number, TICKETS_THERE)}"]


CARDS: Final = (
    Write("upsert a card", _card),
    Write("delete a card", _card_gone),
    Write("upsert a ticket", _ticket),
    Write("delete a ticket", _ticket_gone),
)

"""Settings of a session that change what a query returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from psycopg import sql

from listener.postgres import Connection
from listener.sql import files

SETTINGS: Final = (
    "search_path",
    "default_text_search_config",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "xmlbinary",
    "xmloption",
    "timezone_abbreviations",
    "array_nulls",
    "backslash_quote",
    "standard_conforming_strings",
    "transform_null_equals",
    "quote_all_identifiers",
)
"""Those of them that listener does not set in all its sessions."""


def role_settings(connection: Connection) -> str:
    """The settings that new sessions of listener's role get, as one text that an ALTER changes.

    Raises psycopg.Error, here and below.
    """
    rows = connection.execute(files.load("meaning/role")).fetchall()
    return repr(rows)


def settings_now(connection: Connection) -> dict[str, str]:
    """The settings of this session that change what a query returns."""
    rows = connection.execute(
        "SELECT s.name, pg_catalog.current_setting(s.name, true) "
        "FROM pg_catalog.unnest(%s::text[]) AS s (name)",
        (list(SETTINGS),),
    ).fetchall()
    return {name: value for name, value in rows if value is not None}


def apply(connection: Connection, settings: Mapping[str, str]) -> None:
    """Give a session these settings, whatever its role has by now."""
    if settings:
        connection.execute(
            sql.SQL("SELECT {}").format(
                sql.SQL(", ").join(
                    sql.SQL("pg_catalog.set_config({}, {}, false)").format(name, value)
                    for name, value in settings.items()
                )
            )
        )

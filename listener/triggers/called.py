"""What listener's trigger functions, and the default of the journal's id, call.

The owner of these functions must be allowed to call each of them.
"""

from __future__ import annotations

from typing import Final

CALLED: Final = tuple(
    f"pg_catalog.{one}"
    for one in (
        "array_agg(anynonarray)",
        "array_append(anycompatiblearray,anycompatible)",
        "array_append(anyarray,anyelement)",
        "cardinality(anyarray)",
        "clock_timestamp()",
        'concat("any")',
        "count()",
        "date_part(text,timestamp with time zone)",
        "has_function_privilege(oid,text)",
        'json_build_array("any")',
        "max(integer)",
        "now()",
        "octet_length(text)",
        "pg_current_xact_id()",
        "pg_current_xact_id_if_assigned()",
        "pg_notification_queue_usage()",
        "pg_notify(text,text)",
        "pg_sequence_last_value(regclass)",
        "pg_try_advisory_xact_lock(integer,integer)",
        "record_image_ne(record,record)",
        "row_number()",
        "setval(regclass,bigint)",
        "statement_timestamp()",
        "string_agg(text,text)",
        "sum(bigint)",
        "sum(integer)",
        "timezone(text,timestamp with time zone)",
        "to_json(anyelement)",
        "unnest(anyarray)",
        "pg_backend_pid()",
        "pg_current_wal_insert_lsn()",
        "pg_lsn_hash_extended(pg_lsn,bigint)",
        "max(bigint)",
        "to_char(timestamp without time zone,text)",
        # operators, for keys of all types
        "array_eq(anyarray,anyarray)",
        "booleq(boolean,boolean)",
        "float8ge(double precision,double precision)",
        "float8lt(double precision,double precision)",
        "float8mul(double precision,double precision)",
        "int2eq(smallint,smallint)",
        "int4eq(integer,integer)",
        "int4gt(integer,integer)",
        "int4le(integer,integer)",
        "int4pl(integer,integer)",
        "int84div(bigint,integer)",
        "int84gt(bigint,integer)",
        "int84le(bigint,integer)",
        "int84lt(bigint,integer)",
        "int84mi(bigint,integer)",
        "int84ne(bigint,integer)",
        "int8eq(bigint,bigint)",
        "int8gt(bigint,bigint)",
        "int8mod(bigint,bigint)",
        "int8um(bigint)",
        "textcat(text,text)",
        "texteq(text,text)",
        "timestamptz_ge(timestamp with time zone,timestamp with time zone)",
        "uuid_eq(uuid,uuid)",
        # casts, those of constants and of what is put into a variable too
        "float8(integer)",
        "float8(numeric)",
        "int4(bigint)",
        "int8(double precision)",
        "int8(integer)",
        "int8(numeric)",
        "numeric(integer)",
        # casts by text: while it plans, PostgreSQL calls them for what is constant by then
        "int2out(smallint)",
        "int4out(integer)",
        "int8out(bigint)",
        "textin(cstring)",
        "uuid_out(uuid)",
    )
)
"""PostgreSQL asks for the right to call operators, casts and the equality of GROUP BY as well. A
name that a version does not have is left out."""

TELLING: Final = (
    "pg_catalog.pg_notify(text,text)",
    "pg_catalog.pg_notification_queue_usage()",
    "pg_catalog.pg_try_advisory_xact_lock(integer,integer)",
)
"""Those of the functions above that nothing calls where `notify` is off for all tables."""

-- The nonce, its line of renewals and its number there; no line where a dump brought this row.
SELECT m.nonce::text,
       CASE WHEN (pg_catalog.to_jsonb(m) ->> 'file')::oid
                 = pg_catalog.pg_relation_filenode(m.tableoid::pg_catalog.regclass)
            THEN pg_catalog.to_jsonb(m) ->> 'line' END,
       coalesce((pg_catalog.to_jsonb(m) ->> 'renewals')::bigint, 0),
       pg_catalog.clock_timestamp()
FROM {meta} AS m

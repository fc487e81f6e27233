-- What the server is: version, encoding, two-phase commits, whether it can be written to.
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
       pg_catalog.current_setting('server_encoding'),
       pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int4,
       pg_catalog.pg_is_in_recovery()

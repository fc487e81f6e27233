-- What the server is: version, whether texts are without an encoding, standby, two-phase commits.
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
       pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_encoding') = 'SQL_ASCII',
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int4

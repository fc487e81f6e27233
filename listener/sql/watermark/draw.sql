-- t, the moment that a proof will speak of, and where the WAL stands. First of the two statements.
SELECT pg_catalog.clock_timestamp(), pg_catalog.pg_current_wal_insert_lsn()::text

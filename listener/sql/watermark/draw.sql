-- t, the moment that a proof will speak of, and how far the WAL is on disk. First of the two statements.
SELECT pg_catalog.clock_timestamp(), pg_catalog.pg_current_wal_flush_lsn()::text

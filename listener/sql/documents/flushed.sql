-- Whether all that a read just saw is on disk: a commit with synchronous_commit=off is visible first.
SELECT pg_catalog.pg_current_wal_flush_lsn() >= pg_catalog.pg_current_wal_insert_lsn()

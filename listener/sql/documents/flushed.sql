-- Whether the log is on disk up to where it was when a read took its snapshot: a commit with
-- synchronous_commit=off is visible first.
SELECT pg_catalog.pg_current_wal_flush_lsn() >= %(lsn)s::text::pg_lsn

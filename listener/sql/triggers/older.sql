-- Transactions of this database that have been open for longest, which an index has to wait for.
SELECT a.pid, a.usename, a.xact_start::pg_catalog.timestamptz(0)
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.xact_start IS NOT NULL
  AND a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
ORDER BY a.xact_start
LIMIT 3

-- Relations of users (not of the system) that this transaction has locked: those that its statements name.
SELECT DISTINCT l.relation::bigint
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.relation::bigint >= 16384

-- End the session that holds the lock, unless it has given a sign of life since.
SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid = %(pid)s AND a.query_start = %(sign)s

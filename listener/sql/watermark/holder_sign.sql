-- The last sign of life of the session that holds the lock of this pipeline; NULL: it is not ours to see or to end.
SELECT l.pid,
       CASE WHEN pg_catalog.pg_has_role(a.usesysid, 'USAGE') THEN a.query_start END
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND ((l.classid::bigint << 32) | l.objid::bigint) = %(key)s

-- Who holds the advisory lock of listener's installer, and since when that session is connected. A
-- process that is no session is not shown.
SELECT a.pid, a.backend_start::pg_catalog.timestamptz(0)
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.locktype = 'advisory' AND l.objsubid = 2
  AND l.classid::pg_catalog.int8 = %(classid)s::pg_catalog.int8 & 4294967295
  AND l.objid::pg_catalog.int8 = %(objid)s::pg_catalog.int8 & 4294967295
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                    WHERE d.datname = pg_catalog.current_database())

-- Who holds locks on these tables that a trigger cannot be made beside. A process without a role is one
-- of PostgreSQL's own: which one, not everybody may see.
SELECT DISTINCT l.pid,
       coalesce(a.usename::pg_catalog.text, a.backend_type,
                CASE WHEN a.pid IS NOT NULL AND a.usesysid IS NULL
                     THEN 'one of PostgreSQL itself (autovacuum?)' END),
       a.state, a.xact_start::pg_catalog.timestamptz(0)
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.locktype = 'relation' AND l.relation = ANY (%(oids)s)
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                    WHERE d.datname = pg_catalog.current_database())
  AND (l.pid IS NULL OR l.pid <> pg_catalog.pg_backend_pid())
ORDER BY 4, 1
LIMIT 3

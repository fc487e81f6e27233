-- The timeouts of others that can be read: those of the server, of databases and of roles.
-- That of deadlocks is one of them: it ends a transaction, and not only a wait.
SELECT pg_catalog.split_part(s.setting, '=', 2)
FROM pg_catalog.pg_db_role_setting AS r, pg_catalog.unnest(r.setconfig) AS s (setting)
WHERE r.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                            WHERE d.datname = pg_catalog.current_database()))
  AND pg_catalog.split_part(s.setting, '=', 1)
      IN ('lock_timeout', 'statement_timeout', 'deadlock_timeout')
UNION ALL
SELECT p.reset_val || coalesce(p.unit, '')
FROM pg_catalog.pg_settings AS p
WHERE p.name IN ('lock_timeout', 'statement_timeout', 'deadlock_timeout')

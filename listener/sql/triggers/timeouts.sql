-- Milliseconds of the least timeout of others that can be read: those of the server, of databases, of
-- roles and of functions; NULL: there is none. That of deadlocks is one of them: it ends a transaction,
-- and not only a wait. PostgreSQL itself reads what each is set to: it is set, in this transaction, and
-- asked for.
SELECT pg_catalog.min(nullif(pg_catalog.date_part('epoch', pg_catalog.current_setting(
           CASE WHEN pg_catalog.set_config('lock_timeout', t.value, true) IS NOT NULL
                THEN 'lock_timeout' END)::interval) * 1000, 0))
FROM (
    SELECT pg_catalog.split_part(s.setting, '=', 1), pg_catalog.split_part(s.setting, '=', 2)
    FROM (
        SELECT r.setconfig
        FROM pg_catalog.pg_db_role_setting AS r
        WHERE r.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                                    WHERE d.datname = pg_catalog.current_database()))
        UNION ALL
        SELECT f.proconfig FROM pg_catalog.pg_proc AS f WHERE f.proconfig IS NOT NULL
    ) AS c (settings), pg_catalog.unnest(c.settings) AS s (setting)
    UNION ALL
    SELECT p.name, pg_catalog.concat(p.reset_val, p.unit) FROM pg_catalog.pg_settings AS p
) AS t (name, value)
WHERE t.name IN ('lock_timeout', 'statement_timeout', 'deadlock_timeout', 'transaction_timeout')

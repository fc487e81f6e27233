-- Who keeps the watermark back: open transactions with an id of their own, prepared ones first.
SELECT kind, pid, who, since FROM (
    SELECT 'prepared transaction' AS kind, NULL::integer AS pid,
           p.gid || ' of ' || p.owner AS who, p.prepared AS since
    FROM pg_catalog.pg_prepared_xacts AS p
    UNION ALL
    SELECT 'transaction', a.pid,
           pg_catalog.concat_ws(' ', a.usename, a.datname, a.application_name), a.xact_start
    FROM pg_catalog.pg_stat_activity AS a
    WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
) AS holders
ORDER BY since NULLS LAST LIMIT 1

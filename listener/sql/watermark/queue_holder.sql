-- Who may keep the queue of NOTIFY from being emptied: whoever LISTENs and does not read, because he
-- is in a transaction or because his client takes nothing more. Nobody may see who LISTENs.
SELECT a.pid, pg_catalog.concat_ws(' ', a.usename, a.datname, a.application_name),
       coalesce(a.xact_start, a.state_change)
FROM pg_catalog.pg_stat_activity AS a
WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
  AND (a.xact_start IS NOT NULL OR a.wait_event = 'ClientWrite')
ORDER BY coalesce(a.xact_start, a.state_change) LIMIT 1

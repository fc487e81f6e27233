-- Which of our sessions the server works for; one that waits to send to a dead client does not. And whether it
-- waits for a lock of others.
SELECT pid, wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_catalog.pg_stat_activity
WHERE pid = ANY(%(pids)s) AND state = 'active' AND wait_event IS DISTINCT FROM 'ClientWrite'

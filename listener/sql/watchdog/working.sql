-- Which of our sessions the server works for; one that waits to send to a dead client does not.
SELECT pid FROM pg_catalog.pg_stat_activity
WHERE pid = ANY(%(pids)s) AND state = 'active' AND wait_event IS DISTINCT FROM 'ClientWrite'

-- Cancels what a process of ours does, if another one waits for it: that one. (Not in one WHERE: the
-- cheaper condition is the first.)
WITH waiting AS MATERIALIZED (
    SELECT w.pid
    FROM (SELECT DISTINCT l.pid FROM pg_catalog.pg_locks AS l WHERE NOT l.granted) AS w
    WHERE %(pid)s = ANY (pg_catalog.pg_blocking_pids(w.pid))
    LIMIT 1
)
SELECT w.pid, pg_catalog.pg_cancel_backend(%(pid)s)
FROM waiting AS w

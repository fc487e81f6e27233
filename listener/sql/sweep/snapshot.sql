-- Which transactions have ended: those below the first id that are not among the second ones (ids of savepoints are not
-- told). Both are of one snapshot, and the clock is read after it.
SELECT pg_catalog.clock_timestamp(),
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text,
       ARRAY(SELECT x::text FROM pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) AS x)

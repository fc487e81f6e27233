-- The oldest transaction that runs now. Whoever commits later is this one or a younger one.
SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text

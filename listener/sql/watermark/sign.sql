-- A sign of life of the LISTEN session: who stands by sees in pg_stat_activity when it came.
SELECT

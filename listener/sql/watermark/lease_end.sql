-- Let go of slots of the bell.
SELECT pg_catalog.pg_advisory_unlock(%(bell)s::integer, (s.slot %% 2147483647)::integer)
FROM pg_catalog.unnest(%(slots)s::bigint[]) AS s (slot)

-- Keep the bell for slots of 50 ms to come, as a trigger does that rings: others find it ringing.
SELECT s.slot, n.slot
FROM (SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 20)::bigint AS slot) AS n,
    LATERAL pg_catalog.generate_series(
        greatest(n.slot, %(from)s::bigint), n.slot + %(slots)s::bigint
    ) AS s (slot)
WHERE pg_catalog.pg_try_advisory_lock(%(bell)s::integer, (s.slot %% 2147483647)::integer)

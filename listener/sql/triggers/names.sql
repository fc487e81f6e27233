-- The quoted, qualified names of these tables, in this order.
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
FROM pg_catalog.unnest(%(oids)s::pg_catalog.oid[]) WITH ORDINALITY AS w (oid, place)
JOIN pg_catalog.pg_class AS c ON c.oid = w.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY w.place

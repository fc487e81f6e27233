-- The indexes that one pipeline made, by their whole names and by what they are, with the tables that they
-- are on.
SELECT xn.nspname, x.relname, tn.nspname, t.relname
FROM pg_catalog.pg_class AS x
JOIN pg_catalog.pg_namespace AS xn ON xn.oid = x.relnamespace
JOIN pg_catalog.pg_index AS i ON i.indexrelid = x.oid
JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE x.relkind IN ('i', 'I')
  AND x.relname::pg_catalog.text ~ ('^' || %(prefix)s || '[0-9a-f]{12}$')
  AND m.amname = 'btree' AND i.indnatts = 1 AND NOT i.indisunique
  AND i.indexprs IS NULL AND i.indpred IS NULL
ORDER BY 1, 2

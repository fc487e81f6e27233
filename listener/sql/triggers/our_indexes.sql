-- Indexes that one pipeline made, by the beginning of their names; partitions' own are not listed.
SELECT n.nspname, x.relname, x.relkind::pg_catalog.text, tn.nspname || '.' || t.relname
FROM pg_catalog.pg_class AS x
JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
JOIN pg_catalog.pg_index AS i ON i.indexrelid = x.oid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE x.relkind IN ('i', 'I') AND pg_catalog.starts_with(x.relname::pg_catalog.text, %(prefix)s)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = x.oid)
ORDER BY n.nspname, x.relname

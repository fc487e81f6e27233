-- One relation by its exact name, or, where there is none, those whose name differs in case only.
SELECT c.oid, n.nspname, c.relname, c.relkind::pg_catalog.text, c.relpersistence::pg_catalog.text
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE pg_catalog.lower(n.nspname) = pg_catalog.lower(%(schema)s)
  AND pg_catalog.lower(c.relname) = pg_catalog.lower(%(table)s)
  AND c.relkind NOT IN ('i', 'I', 't', 'c')
ORDER BY n.nspname = %(schema)s AND c.relname = %(table)s DESC, n.nspname, c.relname

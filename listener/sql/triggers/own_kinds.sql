-- What bears a name of our own schema's and is of another kind than ours: the name, what it is, and what ours is.
SELECT c.relname,
       CASE c.relkind WHEN 'r' THEN 'a table' WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view'
           WHEN 'p' THEN 'a partitioned table' WHEN 'f' THEN 'a foreign table' WHEN 'S' THEN 'a sequence'
           WHEN 'i' THEN 'an index' ELSE 'of another kind' END,
       w.kind
FROM (VALUES ('meta', 'r', 'a table'), ('journal', 'r', 'a table'), ('parked', 'r', 'a table'),
             ('lost', 'S', 'a sequence')) AS w (relname, relkind, kind)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = %(schema)s
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.relname
WHERE c.relkind <> w.relkind::"char"
ORDER BY c.relname

-- Of a table with its parts, those that are a part of something else, too: the part, and of what.
SELECT n.nspname || '.' || c.relname, pn.nspname || '.' || p.relname,
       i.inhrelid = %(oid)s::pg_catalog.oid
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE i.inhrelid = ANY (%(oids)s) AND i.inhparent <> ALL (%(oids)s)
  AND (pg_catalog.to_jsonb(i) ->> 'inhdetachpending') IS DISTINCT FROM 'true'
ORDER BY 3 DESC, 1, 2
LIMIT 1

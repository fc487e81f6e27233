-- Of a table with its parts, those that are a part of something else, too: the part, and of what.
SELECT n.nspname || '.' || c.relname, pn.nspname || '.' || p.relname,
       i.inhrelid = %(oid)s::pg_catalog.oid
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE i.inhrelid = ANY (%(oids)s)
  -- not <> ALL: until PostgreSQL 14 that would compare each of thousands of parts with each
  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(%(oids)s::bigint[]::oid[]) AS m (oid)
                  WHERE m.oid = i.inhparent)
  AND (pg_catalog.to_jsonb(i) ->> 'inhdetachpending') IS DISTINCT FROM 'true'
ORDER BY 3 DESC, 1, 2
LIMIT 1
